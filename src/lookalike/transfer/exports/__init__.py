"""Collections written as files that other programs read: tables, COCO, and folders of pictures."""
