//! A disk of a few megabytes, to be full: a file system in memory of a fixed size. Mounting it needs root, by itself or
//! by a `sudo` that asks for nothing; without either the test fails and says so.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

/// See the module. Unmounted when dropped.
pub(crate) struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// Mounts one at a folder, which is made, and which belongs to whom the folder around it belongs to.
    pub(crate) fn mount(path: &Path, size: &str) -> Self {
        std::fs::create_dir_all(path).expect("a folder");
        as_root(&[
            "mount",
            "-t",
            "tmpfs",
            "-o",
            &format!("size={size}"),
            "chaos",
            &text(path),
        ]);
        let this = Self {
            path: path.to_owned(),
        };
        let around = path.parent().expect("a folder around it");
        as_root(&["chown", "--reference", &text(around), &text(path)]);
        as_root(&["chmod", "700", &text(path)]);
        this
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Puts all that is in a folder onto it, and removes the folder.
    pub(crate) fn take_over(&self, folder: &Path) {
        as_root(&[
            "cp",
            "-a",
            &format!("{}/.", text(folder)),
            &text(&self.path),
        ]);
        as_root(&["rm", "-rf", &text(folder)]);
    }

    /// Leaves no room.
    pub(crate) fn fill(&self) {
        let mut filler = std::fs::File::create(self.filler()).expect("a file");
        let mut block = vec![0_u8; 1024 * 1024];
        // down to the last page
        while !block.is_empty() {
            if filler.write_all(&block).is_err() {
                block.truncate(block.len() / 2);
            }
        }
    }

    /// Gives the room back.
    pub(crate) fn free(&self) {
        std::fs::remove_file(self.filler()).expect("removed");
    }

    fn filler(&self) -> PathBuf {
        self.path.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // lazily: a server on it may still be on its way out
        let _ = root_command(&["umount", "-l", &text(&self.path)]).status();
    }
}

fn text(path: &Path) -> String {
    path.to_str().expect("our own name").to_owned()
}

fn root_command(arguments: &[&str]) -> Command {
    let is_root = Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|told| told.stdout == b"0\n");
    let mut command = Command::new(if is_root { arguments[0] } else { "sudo" });
    if is_root {
        command.args(&arguments[1..]);
    } else {
        command.arg("-n").args(arguments);
    }
    command
}

fn as_root(arguments: &[&str]) {
    let done = root_command(arguments).output();
    let failed = match done {
        Ok(output) if output.status.success() => return,
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    panic!("a small disk needs root, or a sudo without a password, for {arguments:?}: {failed}");
}
