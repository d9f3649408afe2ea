"""A build backend that tells pip a source archive's metadata and nothing else, so that it downloads without being built."""
import os
import shutil


def prepare_metadata_for_build_wheel(folder, settings=None):
    with open("PKG-INFO") as file:
        told = dict(line.split(": ", 1) for line in file.read().splitlines() if line.startswith(("Name: ", "Version: ")))
    name = f"{told['Name'].replace('-', '_')}-{told['Version']}.dist-info"
    os.mkdir(os.path.join(folder, name))
    shutil.copy("PKG-INFO", os.path.join(folder, name, "METADATA"))
    return name


class __legacy__:
    prepare_metadata_for_build_wheel = staticmethod(prepare_metadata_for_build_wheel)
