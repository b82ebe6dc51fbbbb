"""Where the files of a name lie in a released directory."""

from noisymix_tf.data.folder import list_folder
from noisymix_tf.data.released.classes import listed

# The archives of ImageNet-C and ImageNet-P, which become folders of folders.
GROUPS = ("noise", "blur", "weather", "digital", "extra", "validation")


def named_arrays(root, names):
    """`{name: path}` of the files `<name>.npy` that are there."""
    _, files = list_folder(root)
    return {
        name: root / f"{name}.npy" for name in names if f"{name}.npy" in files
    }


def named_folders(root, names):
    """`{name: path}` of the folders there, or one level down in a group."""
    folders, _ = list_folder(root)
    places = {name: root / name for name in folders}
    for group in GROUPS:
        if group in folders:
            for name in list_folder(root / group)[0]:
                places.setdefault(name, root / group / name)
    return {name: places[name] for name in names if name in places}


def contents(root):
    """What a directory holds, for a message."""
    folders, files = list_folder(root)
    return f"it holds {listed(folders + files)}"
