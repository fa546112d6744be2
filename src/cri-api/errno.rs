//! Error numbers of system calls, with glibc's texts (the official busybox image is built with glibc).

/// Why a system call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::upper_case_acronyms)]
pub enum Errno {
    /// The call would block: the process has been registered and is polled again when it may succeed.
    EAGAIN,
    E2BIG,
    EACCES,
    EADDRINUSE,
    EBADF,
    EBUSY,
    ECHILD,
    ECONNREFUSED,
    ECONNRESET,
    EEXIST,
    EFBIG,
    EHOSTUNREACH,
    EINVAL,
    EIO,
    EISDIR,
    ELOOP,
    EMFILE,
    ENAMETOOLONG,
    ENETUNREACH,
    ENOENT,
    ENOEXEC,
    ENOSPC,
    ENOSYS,
    ENOTCONN,
    ENOTDIR,
    ENOTEMPTY,
    ENOTTY,
    EPERM,
    EPIPE,
    EROFS,
    ESRCH,
    ETIMEDOUT,
    EXDEV,
}

impl Errno {
    /// `strerror(errno)`.
    pub fn text(self) -> &'static str {
        match self {
            Errno::EAGAIN => "Resource temporarily unavailable",
            Errno::E2BIG => "Argument list too long",
            Errno::EACCES => "Permission denied",
            Errno::EADDRINUSE => "Address already in use",
            Errno::EBADF => "Bad file descriptor",
            Errno::EBUSY => "Device or resource busy",
            Errno::ECHILD => "No child processes",
            Errno::ECONNREFUSED => "Connection refused",
            Errno::ECONNRESET => "Connection reset by peer",
            Errno::EEXIST => "File exists",
            Errno::EFBIG => "File too large",
            Errno::EHOSTUNREACH => "No route to host",
            Errno::EINVAL => "Invalid argument",
            Errno::EIO => "Input/output error",
            Errno::EISDIR => "Is a directory",
            Errno::ELOOP => "Too many levels of symbolic links",
            Errno::EMFILE => "Too many open files",
            Errno::ENAMETOOLONG => "File name too long",
            Errno::ENETUNREACH => "Network is unreachable",
            Errno::ENOENT => "No such file or directory",
            Errno::ENOEXEC => "Exec format error",
            Errno::ENOSPC => "No space left on device",
            Errno::ENOSYS => "Function not implemented",
            Errno::ENOTCONN => "Transport endpoint is not connected",
            Errno::ENOTDIR => "Not a directory",
            Errno::ENOTEMPTY => "Directory not empty",
            Errno::ENOTTY => "Inappropriate ioctl for device",
            Errno::EPERM => "Operation not permitted",
            Errno::EPIPE => "Broken pipe",
            Errno::EROFS => "Read-only file system",
            Errno::ESRCH => "No such process",
            Errno::ETIMEDOUT => "Connection timed out",
            Errno::EXDEV => "Invalid cross-device link",
        }
    }
}

impl std::fmt::Display for Errno {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.text())
    }
}
