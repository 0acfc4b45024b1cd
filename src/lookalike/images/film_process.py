"""The film process: decodes frames of films, asked over a socket, and ended by the kernel.

`lookalike.images.films` starts it. A question and an answer are a message of JSON each, a film comes as a
descriptor or is read through questions of its own, and the frame lies in a file in memory that both have, as
a picture in the format PPM.
"""

from __future__ import annotations

import io
import json
import math
import os
import resource
import signal
import socket
from abc import abstractmethod
from fractions import Fraction
from typing import TYPE_CHECKING, Any, cast

import av
import av.error
import numpy as np
from av.codec.context import ThreadType
from av.filter import Graph
from av.stream import Disposition
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter

from lookalike.images.decoder_process import end_with, limit, limit_time
from lookalike.images.unsupported_formats import LOOKED_AT, describe_film

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

BLOCK = 64 << 10
"""Bytes of a film that are read at once where it comes through the socket: less than a message may have."""

# What a message has at most: the names of files are in it.
_MESSAGE = 128 << 10
# Of address space beyond the process itself: reference frames of 8192 × 4320 at 10 bits, in several threads.
_MEMORY = 3 << 30
# Decoded frames without one that is taken, after which the other side hears that there is something going on.
_STEPS = 100
_THREADS = 4
# Containers that hold films, as FFmpeg's demuxers are called. No playlists and no scripts that name other
# files or addresses (hls, concat, dash …): https://ffmpeg.org/ffmpeg-formats.html#Demuxers.
_FORMATS = (
    "mov,matroska,webm,avi,asf,flv,mpeg,mpegts,mpegvideo,mxf,ogg,h264,hevc,av1,obu,ivf,m4v,dv,rm,nut,gxf,"
    "3gp,mp4,m4a,3g2,mj2,wtv,vc1,yuv4mpegpipe,swf,live_flv"
)
# ffmpeg-filters, select: "between 0.3 and 0.5 is generally a sane choice".
_CUT = 0.3
# A picture so small tells cuts as well, and is not disturbed by grain.
_SMALL = "160:90"
# Milliseconds after a cut at which a scene is looked at: what fades in or settles after a cut has done so.
_SETTLED = 500
# Milliseconds after which a scene without a cut gives another frame.
_LONG = 10_000
# Milliseconds that a film may go on after its last frame, as sound does.
_LAST = 1_000
# Milliseconds that are decoded before a moment of an MPEG program stream (.mpg, .vob).
_EARLY = 5_000
_EXACT = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
# Of curves for screens of high dynamic range: ITU-T H.273, table 3.
_HDR = {16: "PQ", 18: "HLG"}
_UNSPECIFIED = 2


class _Unusable(Exception):
    """The film cannot be read; says why."""


def main(channel: int, lifeline: int, pixels: int) -> None:
    """Decode what is asked over the socket until its other end closes: see `decoder_process.main`."""
    end_with(lifeline)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    film: _Film | None = None
    with socket.socket(fileno=channel) as connection:
        while True:
            message, descriptors, *_ = socket.recv_fds(connection, _MESSAGE, 1)
            if not message:
                return
            question = json.loads(message)
            limit_time(question["seconds"])
            try:
                if film is None:
                    # Once a film: what it takes may not grow with every question.
                    limit(question["seconds"], _MEMORY)
                    file = _Descriptor(*descriptors) if descriptors else _Asked(connection, question["size"])
                    film = _Film(file, question["max_pixels"])
                    answer: dict[str, Any] = {"duration": film.duration}
                elif "close" in question:
                    film.close()
                    film = None
                    answer = {}
                else:
                    answer = film.answer(question, pixels)
            except _Unusable as error:
                answer = {"reason": str(error)}
            except MemoryError:
                answer = {"reason": "not enough memory to decode it"}
            except Exception as error:  # noqa: BLE001 whatever a decoder raises, the next film gets its turn
                answer = {"reason": _words(error)}
            connection.send(json.dumps(answer).encode())


class _Place(io.RawIOBase):
    """A file that is read in parts, from where this one has got to."""

    def __init__(self, size: Callable[[], int]) -> None:
        super().__init__()
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at}.get(whence)
        self._at = max(0, (self._size() if base is None else base) + offset)
        return self._at

    def read(self, size: int = -1) -> bytes:
        data = self._part(BLOCK if size < 0 else size)
        self._at += len(data)
        return data

    @abstractmethod
    def _part(self, size: int) -> bytes:
        """Return at most so many bytes from where it is."""


class _Descriptor(_Place):
    """A file, by a descriptor whose place others move."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(lambda: os.fstat(descriptor).st_size)
        self._descriptor = descriptor

    def _part(self, size: int) -> bytes:
        return os.pread(self._descriptor, size, self._at)

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()


class _Asked(_Place):
    """A file that is read by asking the other end of the socket."""

    def __init__(self, connection: socket.socket, size: int) -> None:
        super().__init__(lambda: size)
        self._connection = connection

    def _part(self, size: int) -> bytes:
        most = min(size, BLOCK, max(0, self._size() - self._at))
        if not most:
            return b""
        self._connection.send(json.dumps({"read": [self._at, most]}).encode())
        return self._connection.recv(BLOCK)


class _Film:
    """A film that is open."""

    def __init__(self, file: _Descriptor | _Asked, max_pixels: int) -> None:
        self._file = file
        self._max_pixels = max_pixels
        try:
            self._container, self._stream = self._open()
        except BaseException:
            file.close()
            raise
        length = self._stream.duration
        self._heard = 0
        whole = self._container.duration
        if whole is not None and "matroska" in self._container.format.name:
            # It counts from 0, and not from when the film begins.
            whole -= max(0, self._container.start_time or 0)
        self.duration = (
            int(length * self._stream.time_base * 1000)
            if length is not None and self._stream.time_base is not None
            else None
            if whole is None
            else whole // 1000
        )
        """In milliseconds; None where the film does not tell."""
        self._reformatter = VideoReformatter()
        self._taken: Iterator[tuple[int, VideoFrame] | None] | None = None
        self._reached = -1
        self._until = 0
        self._fault: str | None = None
        self._notes: dict[str, None] = {}

    def close(self) -> None:
        self._container.close()
        self._file.close()

    def answer(self, question: dict[str, Any], pixels: int) -> dict[str, Any]:
        """Answer a question for the next frame that is taken, or for the one of a moment."""
        if "at" in question:
            moment, frame = self._at(question["at"])
            self._leave(frame, pixels)
            return {"time": moment, "notes": list(self._notes)}
        if self._taken is None:
            step = question["step"]
            self._taken = self._every(step) if step is not None else self._scenes()
        for found in self._taken:
            if found is None:
                return {"reached": self._reached}
            moment, frame = found
            break
        else:
            return {"end": self._end(), "reached": self._reached}
        self._leave(frame, pixels)
        return {"time": moment, "notes": list(self._notes)}

    def _open(self) -> tuple[InputContainer, VideoStream]:
        self._file.seek(0)
        try:
            container = av.open(
                self._file,
                "r",
                container_options={"format_whitelist": _FORMATS, "protocol_whitelist": "none"},
                metadata_errors="replace",
                buffer_size=BLOCK,
                io_open=_refuse,
            )
        except av.error.FFmpegError as error:
            self._file.seek(0)
            raise _Unusable(describe_film(self._file.read(LOOKED_AT))) from error
        streams = [
            stream
            for stream in container.streams.video
            if not stream.disposition & Disposition.attached_pic  # the cover of a record
        ]
        if not streams:
            raise _Unusable(
                "no film: there is sound in it and no pictures"
                if container.streams.audio
                else "no film: there are no pictures in it"
            )
        stream = streams[0]
        context = stream.codec_context
        if context is None:
            raise _Unusable("its pictures are coded in a way that is not known here")
        if context.width * context.height > self._max_pixels:
            raise _Unusable(
                f"{context.width} × {context.height} pixels are more than the limit of {self._max_pixels:,} "
                "(max-pixels)"
            )
        context.options = {"max_pixels": str(self._max_pixels)}
        context.thread_type = ThreadType.AUTO
        context.thread_count = min(_THREADS, len(os.sched_getaffinity(0)))
        return container, stream

    def _frames(self) -> Iterator[tuple[int, VideoFrame]]:
        """Yield the frames from where the film stands, with their times in whole milliseconds.

        A time is rounded up, so that it lies in the time for which the frame is shown. Where the film is
        damaged, frames are left out; so are those whose times go back.
        """
        rate = self._stream.average_rate or self._stream.guessed_rate or Fraction(25)
        start = Fraction(self._container.start_time or 0, 1_000_000)
        # AVI counts frames as they are coded, which is not as they are shown.
        by_dts = self._container.format.name == "avi"
        last = -1
        packets = self._packets(start)
        while True:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError as error:
                if not isinstance(error, EOFError):
                    self._damaged(last)
                return
            if packet is None:
                return
            try:
                frames = packet.decode()
            except av.error.FFmpegError as error:
                if isinstance(error, EOFError):
                    return
                self._damaged(last)
                continue
            for frame in frames:
                if frame.is_corrupt:
                    self._damaged(last)
                    continue
                shown = frame.dts if by_dts and frame.dts is not None else frame.pts
                if shown is None or frame.time_base is None:
                    moment = 0 if last < 0 else last + max(1, math.ceil(1000 / rate))
                else:
                    moment = max(0, math.ceil((shown * frame.time_base - start) * 1000))
                if moment <= last:
                    if last - moment > _LAST and self._fault is None:
                        self._fault = f"its times go back at {last / 1000:g} s: such frames are left out"
                    continue
                last = moment
                length = frame.duration * frame.time_base if frame.duration and frame.time_base else 1 / rate
                self._until = moment + math.ceil(length * 1000)
                yield moment, frame

    def _packets(self, start: Fraction) -> Iterator[Packet[VideoStream]]:
        """Yield the packets of the pictures from where the film stands.

        Where only the whole film has a length, its sound may go on after them: how far it does is noted.
        """
        others = self._container.streams.audio if self._stream.duration is None else ()
        for packet in self._container.demux(self._stream, *others):
            if packet.stream_index == self._stream.index:
                yield cast("Packet[VideoStream]", packet)
            elif packet.pts is not None and packet.time_base is not None:
                ends = (packet.pts + (packet.duration or 0)) * packet.time_base - start
                self._heard = max(self._heard, math.ceil(ends * 1000))

    def _damaged(self, last: int) -> None:
        if self._fault is None:
            self._fault = f"damaged after {max(0, last) / 1000:g} s"

    def _end(self) -> str | None:
        """Return what is wrong with a film that was read to its end; None where nothing is."""
        if self._reached < 0:
            raise _Unusable(self._fault or "no frame of it can be decoded")
        whole = 0 if self.duration is None else self.duration
        if self._fault is None and whole - max(self._until, self._heard) > max(_LAST, whole // 20):
            return f"breaks off: its pictures end at {self._until / 1000:g} s of {whole / 1000:g} s"
        return self._fault

    def _every(self, step: int) -> Iterator[tuple[int, VideoFrame] | None]:
        """Yield a frame every so many milliseconds, and None now and then where none is to be taken."""
        due = 0
        for count, (moment, frame) in enumerate(self._frames()):
            self._reached = moment
            if moment >= due:
                due = (moment // step + 1) * step
                yield moment, frame
            elif not count % _STEPS:
                yield None

    def _scenes(self) -> Iterator[tuple[int, VideoFrame] | None]:
        """Yield a frame a scene, as `_every` does.

        Taken is the first one that is shown half a second after the cut, or else the last one of the scene;
        of long scenes further ones.
        """
        cuts = _Cuts()
        began = 0
        taken: int | None = None
        last: tuple[int, VideoFrame] | None = None
        for count, (moment, frame) in enumerate(self._frames()):
            self._reached = moment
            if last is None:
                began = moment
            is_cut = cuts.is_cut(frame)
            if is_cut and moment - began >= _SETTLED:
                if taken is None and last is not None:
                    yield last
                began, taken = moment, None
            last = moment, frame
            if moment - began >= _SETTLED if taken is None else moment - taken >= _LONG:
                taken = moment
                yield moment, frame
            elif not count % _STEPS:
                yield None
        if taken is None and last is not None:
            yield last

    def _at(self, moment: int) -> tuple[int, VideoFrame]:
        """Return the frame that is shown at a moment, and the moment at which it appears."""
        self._taken = None
        found: tuple[int, VideoFrame] | None = None
        for each in self._from(moment):
            if found is not None and each[0] > moment:
                return found
            found = each
        if found is None:
            raise _Unusable(self._fault or "no frame of it can be decoded")
        if moment > found[0] + max(_LAST, (self.duration or 0) - found[0]):
            raise _Unusable(f"its pictures end at {found[0] / 1000:g} s")
        return found

    def _from(self, moment: int) -> Iterator[tuple[int, VideoFrame]]:
        """Yield the frames from one on that is shown at a moment or before."""
        start = self._container.start_time or 0
        try:
            if moment:
                # A pack of several frames has the time of the first one alone: those after it are guessed as
                # in a film that is read in order only after some packs.
                early = _EARLY if self._container.format.name == "mpeg" else 0
                self._container.seek(max(0, moment - early) * 1000 + start)
                found = self._frames()
                first = next(found, None)
                if first is not None and first[0] <= moment:
                    yield first
                    yield from found
                    return
        except av.error.FFmpegError:
            pass
        self._container.close()
        self._container, self._stream = self._open()
        yield from self._frames()

    def _leave(self, frame: VideoFrame, pixels: int) -> None:
        """Leave a frame upright, as a picture in the format PPM."""
        if frame.width * frame.height > self._max_pixels:
            raise _Unusable(
                f"{frame.width} × {frame.height} pixels are more than the limit of {self._max_pixels:,} "
                "(max-pixels)"
            )
        if (curve := _HDR.get(frame.color_trc)) is not None:
            self._notes[f"of high dynamic range ({curve}): its colours are taken as they are coded"] = None
        width = frame.width
        ratio = self._stream.sample_aspect_ratio
        if ratio and ratio != 1 and 1 <= (wide := round(width * ratio)) * frame.height <= self._max_pixels:
            width = wide  # as players show it
        unsaid = frame.colorspace == _UNSPECIFIED
        picture = self._reformatter.reformat(
            frame,
            width=width,
            format="rgb24",
            src_colorspace=(Colorspace.ITU709 if frame.height >= 720 else Colorspace.ITU601)
            if unsaid
            else None,
            interpolation=_EXACT | Interpolation.FULL_CHR_H_INT,
            threads=1,
        )
        upright = np.rot90(picture.to_ndarray(), frame.rotation // 90).astype(np.uint8, "C", copy=False)
        header = b"P6\n%d %d\n255\n" % (upright.shape[1], upright.shape[0])
        os.ftruncate(pixels, 0)
        os.pwrite(pixels, header, 0)
        view, place = upright.reshape(-1).data, len(header)
        while view:
            written = os.pwrite(pixels, view, place)
            view, place = view[written:], place + written


class _Cuts:
    """Where scenes change, as FFmpeg's filter `select` tells it."""

    def __init__(self) -> None:
        self._graph: Graph | None = None
        self._form: tuple[int, int, str] | None = None

    def is_cut(self, frame: VideoFrame) -> bool:
        """Tell whether another scene begins with a frame, the next one of the film."""
        form = frame.width, frame.height, frame.format.name
        if self._graph is None or form != self._form:
            self._graph, self._form = Graph(), form
            source = self._graph.add_buffer(
                width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1000)
            )
            scale = self._graph.add("scale", f"{_SMALL}:flags=area")
            # In colours: of others the filter compares the lightness alone.
            colours = self._graph.add("format", "rgb24")
            select = self._graph.add("select", f"gt(scene\\,{_CUT})")
            self._graph.link_nodes(source, scale, colours, select, self._graph.add("buffersink")).configure()
        self._graph.vpush(frame)
        try:
            self._graph.vpull()
        except (BlockingIOError, av.error.EOFError):
            return False
        return True


def _refuse(url: str, flags: int, options: dict[str, str]) -> None:  # noqa: ARG001 as PyAV calls it
    """Open nothing that a film names."""
    raise PermissionError("a film names other files")


def _words(error: Exception) -> str:
    said = getattr(error, "strerror", None)
    return f"it cannot be decoded: {said or type(error).__name__}"
