"""Texts that searches by words are compared with, in English and in Korean, each of something else.

They are what people might look for in pictures, near and far, so that most of them are in no given
collection. They stand for all texts about something that is not there: `background` says what that promises.
"""

from __future__ import annotations

_ENGLISH = """
an astronaut on the moon; a bowl of ramen; a lighthouse at the coast; a violin; a herd of zebras;
a wedding cake; a steam locomotive; a chess board; people dancing in a club; a beehive;
a windmill in a tulip field; a dentist; a hot air balloon; a pair of ballet shoes; a volcano erupting;
a kangaroo; a slice of pizza; a medieval castle; a submarine; a chandelier; a rainbow over a valley;
a hedgehog; a football stadium; a fire truck; a grand piano; a cactus in the desert; a jellyfish;
a newspaper; a waterfall; a barber shop; an ice hockey game; a sewing machine; a bunch of grapes;
a polar bear; a traffic jam; a church window; a microscope; a snowman; a surfboard; a tractor;
a map of Africa; an owl at night; a pocket watch; a chocolate cake; a suspension bridge; a bride;
a wheelchair; a field of sunflowers; a tiger; a parachute; a bottle of wine; a space rocket;
a police officer; a parrot; a campfire; an escalator; a skeleton; a crying baby; a lobster; a typewriter;
a roller coaster; a bonsai tree; a motorcycle; a vending machine; a spider web; a bathtub; a pyramid;
a deer in the forest; a saxophone; a cup of tea; a kitchen knife; a sailing boat; a crowded beach;
a penguin; a statue of a horseman; a bicycle repair shop; a mushroom; a tennis player; a parking meter;
an elephant; a rocking chair; a coral reef; a hospital bed; a telephone booth; a squirrel;
a samurai sword; a baseball cap; an umbrella in the rain; a dinosaur; a mosque; a strawberry;
a shopping cart; a glacier; a circus tent; a peacock; a washing machine; a rusty anchor; a vineyard;
a gorilla; a hamburger with fries; a sundial; a choir; a crocodile; a pair of glasses; a subway station;
a swan; a pumpkin; a mountain bike race; a compass; a graduation ceremony; a turtle; a haystack;
a helicopter; a cathedral; a loaf of bread; a flamingo; a fountain in a park; an eclipse of the sun;
a boxing match; a goat; a set of keys; a treehouse; a seahorse; a golf course; a street musician;
a pineapple; a camel caravan; a drum kit; a lightning bolt; a mailbox; an ostrich; an oil rig; a puppet;
a ladybird on a leaf; a staircase; a rowing team; a bowl of salad; a birthday party; a wolf howling;
a telescope; a fisherman; a mummy; a snail; a ferris wheel; a toothbrush; a frozen lake; a robot;
a rabbit in a hat
"""

_KOREAN = """
비행기; 김치찌개; 한복을 입은 아이; 고래; 벚꽃길; 해바라기씨; 도서관 책장; 기린; 소방관; 냉장고; 경복궁;
배드민턴 라켓; 갈매기; 유치원 교실; 달력; 신호등; 수박; 호수 위의 오리; 선풍기; 장미꽃다발; 코알라;
버스 정류장; 축구공; 바이올린 연주자; 떡볶이; 노트북 컴퓨터; 안개 낀 숲; 악어새; 결혼반지; 등산객;
자판기 커피; 판다; 불꽃놀이; 우체부; 연필깎이; 사막여우; 수영장; 모래성; 할머니; 양파; 기차역 승강장;
부엉이 인형; 빨간 우산; 피아노 건반; 얼룩소; 눈사람 만들기; 태권도; 바나나; 경찰차; 무지개떡; 낚싯배;
고슴도치; 시계탑; 커피잔; 스키장; 옥수수밭; 공룡 화석; 미용실; 병원 수술실; 앵무새; 자동차 공장; 돌담길;
치즈; 거북선; 나비 넥타이; 종이학; 사다리; 낙타; 놀이공원; 감자튀김; 군인; 피라미드 벽화; 청소기; 다람쥐;
해변의 일몰; 목도리; 초밥; 등대지기; 말벌; 야구 방망이; 교회 종; 포도주 저장고; 벽난로; 물고기 떼;
지하철 노선도; 하마; 복숭아; 가야금; 우주 정거장; 손목시계; 세탁소; 늑대; 농구 골대; 계곡; 오토바이 헬멧;
달팽이; 가위; 결혼식장; 코끼리 코; 연날리기; 삼겹살; 비 오는 거리; 트럼펫; 유리병; 독수리; 운동화;
한옥 지붕; 캥거루 새끼; 아이스크림; 잠수부; 화산재; 볼링장; 토마토; 도자기; 원숭이; 크레인; 돋보기;
신문 배달; 해파리냉채; 자물쇠; 풍차; 북극곰; 만두; 시장 골목; 체스 말; 반딧불이; 침대; 헬리콥터 조종석;
빙하; 닭장; 칫솔; 탬버린; 사슴벌레; 국수; 사원의 불상; 스케이트; 현미경 사진; 두루미; 포클레인; 소나무;
망원경; 호랑이 가죽; 욕조; 마술사; 석류; 터널; 가로등; 딸기잼; 수달; 요트; 전화기; 인어; 장독대; 해골
"""


def texts() -> tuple[str, ...]:
    """Return the texts, in a fixed order."""
    listed = f"{_ENGLISH};{_KOREAN}".split(";")
    return tuple(" ".join(text.split()) for text in listed)
