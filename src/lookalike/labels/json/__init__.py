"""Labels in JSON: files of one image, lists, COCO and the exports of labelling tools."""
