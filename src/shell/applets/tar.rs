//! `tar`: `c`, `x`, `t` with `f v C p O`, ustar with GNU long names; what `kubectl cp` needs. Left out by name: compression
//! (`z`, `j`, `J` are refused), sparse files, appending.

use cri_api::{Errno, Poll, Program, Sys, Text, WriteOut};

use super::{Make, STDIN, finish};
use crate::text::{dirname, join};

pub(super) const TABLE: &[(&str, Make)] = &[("tar", || Box::new(Tar::default()))];

#[derive(Clone, Default)]
struct Tar {
    started: bool,
    mode: char,
    file: Option<Text>,
    dir: Option<Text>,
    verbose: bool,
    to_stdout: bool,
    names: Vec<Text>,
    excluded: Vec<Text>,
    input: Vec<u8>,
    reading: bool,
    out: WriteOut,
    stripped: bool,
    code: i32,
    ended: bool,
}

/// One member's header.
struct Header {
    name: String,
    mode: u16,
    uid: u32,
    gid: u32,
    size: usize,
    mtime: i64,
    kind: u8,
    link: String,
}

fn octal(field: &[u8]) -> u64 {
    field.iter().skip_while(|b| **b == b' ').take_while(|b| (b'0'..b'8').contains(b)).fold(0, |n, b| n * 8 + (b - b'0') as u64)
}

fn text(field: &[u8]) -> String {
    let end = field.iter().position(|b| *b == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}

fn parse(block: &[u8]) -> Option<Header> {
    if block.len() < 512 || block[..512].iter().all(|b| *b == 0) {
        return None;
    }
    let prefix = text(&block[345..500]);
    let name = text(&block[..100]);
    Some(Header {
        name: if prefix.is_empty() || &block[257..262] != b"ustar" { name } else { format!("{prefix}/{name}") },
        mode: octal(&block[100..108]) as u16,
        uid: octal(&block[108..116]) as u32,
        gid: octal(&block[116..124]) as u32,
        size: octal(&block[124..136]) as usize,
        mtime: octal(&block[136..148]) as i64,
        kind: block[156],
        link: text(&block[157..257]),
    })
}

fn header_block(header: &Header) -> Vec<u8> {
    let mut out = Vec::new();
    if header.name.len() > 100 {
        let long =
            Header { name: "././@LongLink".into(), size: header.name.len() + 1, kind: b'L', link: String::new(), ..*header };
        out.extend(header_block(&long));
        let mut name = header.name.clone().into_bytes();
        name.push(0);
        name.resize(name.len().div_ceil(512) * 512, 0);
        out.extend(name);
    }
    let mut block = [0u8; 512];
    let mut put = |at: usize, len: usize, bytes: &[u8]| {
        let n = bytes.len().min(len);
        block[at..at + n].copy_from_slice(&bytes[..n]);
    };
    put(0, 100, header.name.as_bytes());
    put(100, 8, format!("{:07o}", header.mode).as_bytes());
    put(108, 8, format!("{:07o}", header.uid).as_bytes());
    put(116, 8, format!("{:07o}", header.gid).as_bytes());
    put(124, 12, format!("{:011o}", header.size).as_bytes());
    put(136, 12, format!("{:011o}", header.mtime.max(0)).as_bytes());
    put(148, 8, b"        ");
    put(156, 1, &[header.kind]);
    put(157, 100, header.link.as_bytes());
    put(257, 8, b"ustar  ");
    put(265, 32, b"root");
    put(297, 32, b"root");
    let sum: u32 = block.iter().map(|b| *b as u32).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    out.extend(block);
    out
}

impl Tar {
    fn fail(&mut self, message: impl AsRef<str>) {
        self.out.push(2, format!("tar: {}\n", message.as_ref()).as_bytes());
        self.code = 1;
    }

    fn start(&mut self, sys: &mut Sys<'_>) -> Result<(), String> {
        self.started = true;
        let argv = sys.argv();
        let mut args = argv[1..].iter().cloned();
        let mut first = true;
        while let Some(arg) = args.next() {
            if let Some(long) = arg.strip_prefix("--") {
                let (name, value) = long.split_once('=').map_or((long, None), |(n, v)| (n, Some(Text::from(v))));
                match name {
                    "create" => self.mode = 'c',
                    "extract" => self.mode = 'x',
                    "list" => self.mode = 't',
                    "file" => self.file = value.or_else(|| args.next()),
                    "directory" => self.dir = value.or_else(|| args.next()),
                    "exclude" => self.excluded.extend(value.or_else(|| args.next())),
                    "verbose" => self.verbose = true,
                    "no-same-permissions" | "no-same-owner" | "numeric-owner" | "overwrite" => {}
                    _ => return Err(format!("unrecognized option '{arg}'")),
                }
                continue;
            }
            let letters = match arg.strip_prefix('-').filter(|l| !l.is_empty()) {
                Some(letters) => letters.to_string(),
                None if first => arg.to_string(),
                None => {
                    self.names.push(arg);
                    continue;
                }
            };
            first = false;
            for letter in letters.chars() {
                match letter {
                    'c' | 'x' | 't' => self.mode = letter,
                    'v' => self.verbose = true,
                    'O' => self.to_stdout = true,
                    'f' => self.file = args.next(),
                    'C' => self.dir = args.next(),
                    'p' | 'm' | 'o' | 'k' | 'h' => {}
                    'z' | 'j' | 'J' | 'a' => return Err(format!("-{letter}: compression is not supported by this tar")),
                    _ => return Err(format!("invalid option -- '{letter}'")),
                }
            }
        }
        self.file = self.file.take().filter(|f| &**f != "-");
        let input = match (&self.file, self.mode) {
            (_, '\0') => return Err("need at least one option".into()),
            (Some(path), 'x' | 't') => Some(sys.read_file(path).map_err(|error| format!("can't open '{path}': {error}"))?),
            _ => None,
        };
        if let Some(dir) = &self.dir {
            sys.chdir(dir).map_err(|error| format!("can't change directory to '{dir}': {error}"))?;
        }
        match (self.mode, input) {
            ('c', _) => self.create(sys),
            (_, Some(bytes)) => {
                self.input = bytes.to_vec();
                self.unpack(sys);
            }
            _ => self.reading = true,
        }
        Ok(())
    }

    fn create(&mut self, sys: &mut Sys<'_>) {
        let mut archive = Vec::new();
        for name in self.names.clone() {
            self.add(sys, &name, &mut archive);
        }
        archive.resize((archive.len() + 1024).div_ceil(10_240) * 10_240, 0);
        self.ended = true;
        match self.file.clone() {
            None => self.out.push(1, &archive),
            Some(path) => {
                if let Err(error) = sys.write_file(&path, &archive) {
                    self.fail(format!("can't open '{path}': {error}"));
                }
            }
        }
    }

    fn add(&mut self, sys: &mut Sys<'_>, path: &str, archive: &mut Vec<u8>) {
        if self.excluded.iter().any(|p| crate::pattern::matches(p, path)) {
            return;
        }
        let stat = match sys.lstat(path) {
            Ok(stat) => stat,
            Err(error) => return self.fail(format!("{path}: {error}")),
        };
        let mut name = path.trim_start_matches('/').to_string();
        if name.len() < path.len() && !self.stripped {
            self.stripped = true;
            self.out.push(2, b"tar: removing leading '/' from member names\n");
        }
        if stat.is_dir() && !name.ends_with('/') {
            name.push('/');
        }
        let data = if stat.is_file() { sys.read_file(path).unwrap_or_default() } else { Default::default() };
        let kind = match stat.kind {
            'd' => b'5',
            'l' => b'2',
            '-' => b'0',
            _ => return,
        };
        if self.verbose {
            let fd = if self.file.is_none() { 2 } else { 1 };
            self.out.push(fd, format!("{name}\n").as_bytes());
        }
        let link = if stat.is_symlink() { sys.readlink(path).map(|t| t.to_string()).unwrap_or_default() } else { String::new() };
        let header = Header {
            name,
            mode: stat.mode,
            uid: stat.uid,
            gid: stat.gid,
            size: data.len(),
            mtime: stat.mtime.secs(),
            kind,
            link,
        };
        archive.extend(header_block(&header));
        archive.extend_from_slice(&data);
        archive.resize(archive.len().div_ceil(512) * 512, 0);
        sys.set_memory(archive.len() as u64);
        if stat.is_dir() {
            for child in sys.read_dir(path).unwrap_or_default() {
                self.add(sys, &join(path, &child), archive);
            }
        }
    }

    fn unpack(&mut self, sys: &mut Sys<'_>) {
        self.ended = true;
        let input = std::mem::take(&mut self.input);
        if input.is_empty() {
            return self.fail("short read");
        }
        let mut at = 0;
        let mut long_name = None;
        while let Some(mut header) = input.get(at..at + 512).and_then(parse) {
            at += 512;
            let Some(data) = input.get(at..at + header.size) else { return self.fail("short read") };
            at += header.size.div_ceil(512) * 512;
            match header.kind {
                b'L' => {
                    long_name = Some(text(data));
                    continue;
                }
                b'x' | b'g' | b'K' => continue,
                _ => {}
            }
            header.name = long_name.take().unwrap_or(header.name);
            let wanted = self.names.is_empty()
                || self.names.iter().any(|n| header.name.trim_end_matches('/').starts_with(n.trim_end_matches('/')));
            if wanted && !self.excluded.iter().any(|p| crate::pattern::matches(p, &header.name)) {
                self.member(sys, &header, data);
            }
        }
    }

    fn member(&mut self, sys: &mut Sys<'_>, header: &Header, data: &[u8]) {
        if self.mode == 't' {
            let kind = match header.kind {
                b'5' => 'd',
                b'2' => 'l',
                _ => '-',
            };
            let line = match self.verbose {
                true => format!(
                    "{} root/root {:>9} {} {}\n",
                    crate::text::mode_text(kind, header.mode),
                    header.size,
                    super::time::format(base::Time::from_secs(header.mtime), "%Y-%m-%d %H:%M:%S"),
                    header.name
                ),
                false => format!("{}\n", header.name),
            };
            return self.out.push(1, line.as_bytes());
        }
        if self.verbose {
            self.out.push(1, format!("{}\n", header.name).as_bytes());
        }
        if self.to_stdout {
            return self.out.push(1, data);
        }
        let path = header.name.trim_start_matches('/').trim_end_matches('/').to_string();
        if path.split('/').any(|part| part == "..") || path.is_empty() {
            return self.fail(format!("skipping unsafe member '{}'", header.name));
        }
        if let Err(error) = extract(sys, &path, header, data) {
            self.fail(format!("can't open '{path}': {error}"));
        }
    }
}

fn extract(sys: &mut Sys<'_>, path: &str, header: &Header, data: &[u8]) -> Result<(), Errno> {
    let above = dirname(path);
    if above != "." {
        let _ = super::files::make_dir(sys, above, 0o777, true);
    }
    match header.kind {
        b'5' => {
            if !sys.stat(path).is_ok_and(|s| s.is_dir()) {
                sys.mkdir(path, 0o777)?;
            }
        }
        b'2' => {
            let _ = sys.unlink(path);
            return sys.symlink(&header.link, path);
        }
        b'1' => {
            let _ = sys.unlink(path);
            return sys.link(&header.link, path);
        }
        _ => {
            let _ = sys.unlink(path);
            sys.write_file(path, data)?;
        }
    }
    if sys.uid() == 0 {
        let _ = sys.chown(path, Some(header.uid), Some(header.gid));
    }
    sys.chmod(path, header.mode & !if sys.uid() == 0 { 0 } else { sys.umask() })?;
    sys.utime(path, base::Time::from_secs(header.mtime))
}

impl Program for Tar {
    fn poll(&mut self, sys: &mut Sys<'_>) -> Poll {
        if !self.started
            && let Err(message) = self.start(sys)
        {
            self.fail(message);
            self.ended = true;
        }
        while self.reading && !self.ended {
            match sys.read(STDIN, 65_536) {
                Ok(bytes) if bytes.is_empty() => self.unpack(sys),
                Ok(bytes) => {
                    self.input.extend(bytes);
                    sys.set_memory(self.input.len() as u64);
                    if sys.is_killed() {
                        return Poll::Ready;
                    }
                }
                Err(Errno::EAGAIN) => return Poll::Pending,
                Err(_) => self.unpack(sys),
            }
        }
        finish(&mut self.out, sys, self.code)
    }
}
