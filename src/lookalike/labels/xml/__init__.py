"""Labels in XML: Pascal VOC and CVAT."""
