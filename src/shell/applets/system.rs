//! What tells about the machine: users, processes, memory, mounts, the environment.

use cri_api::Text;

use super::files::options;
use super::{Instant, Io, Make, group_name, lookup, user_name};
use crate::text::{basename, dirname};

pub(super) const TABLE: &[(&str, Make)] = &[
    ("id", || Instant::boxed(id)),
    ("whoami", || Instant::boxed(whoami)),
    ("logname", || Instant::boxed(whoami)),
    ("groups", || Instant::boxed(groups)),
    ("hostname", || Instant::boxed(hostname)),
    ("uname", || Instant::boxed(uname)),
    ("arch", || Instant::boxed(arch)),
    ("nproc", || Instant::boxed(nproc)),
    ("ps", || Instant::boxed(ps)),
    ("top", || Instant::boxed(top)),
    ("pidof", || Instant::boxed(pidof)),
    ("pgrep", || Instant::boxed(pidof)),
    ("killall", || Instant::boxed(killall)),
    ("free", || Instant::boxed(free)),
    ("mount", || Instant::boxed(mount)),
    ("umount", || Instant::boxed(umount)),
    ("printenv", || Instant::boxed(printenv)),
    ("tty", || Instant::boxed(tty)),
    ("which", || Instant::boxed(which)),
    ("basename", || Instant::boxed(run_basename)),
    ("dirname", || Instant::boxed(run_dirname)),
    ("expr", || Instant::boxed(super::expr::run)),
];

fn id(io: &mut Io<'_, '_>) -> i32 {
    let options = options!(io, "ugnGr", &[]);
    let (uid, gid) = (io.sys.uid(), io.sys.gid());
    let mut groups: Vec<u32> = io.sys.groups().to_vec();
    if groups.is_empty() {
        groups.push(gid);
    }
    let names = options.has('n');
    let line = match options.last_of("ugG") {
        Some('u') if names => user_name(io.sys, uid),
        Some('u') => uid.to_string(),
        Some('g') if names => group_name(io.sys, gid),
        Some('g') => gid.to_string(),
        Some(_) => {
            let all: Vec<String> = groups.iter().map(|g| if names { group_name(io.sys, *g) } else { g.to_string() }).collect();
            all.join(" ")
        }
        None => {
            let named = |io: &mut Io<'_, '_>, path: &str, id: u32| match lookup(io.sys, path, id) {
                Some(name) => format!("{id}({name})"),
                None => id.to_string(),
            };
            let groups: Vec<String> = groups.iter().map(|g| named(io, "/etc/group", *g)).collect();
            format!("uid={} gid={} groups={}", named(io, "/etc/passwd", uid), named(io, "/etc/group", gid), groups.join(","))
        }
    };
    io.print(line + "\n");
    0
}

fn whoami(io: &mut Io<'_, '_>) -> i32 {
    let uid = io.sys.uid();
    match lookup(io.sys, "/etc/passwd", uid) {
        Some(name) => {
            io.print(name + "\n");
            0
        }
        None => {
            io.error(format!("unknown uid {uid}"));
            1
        }
    }
}

fn groups(io: &mut Io<'_, '_>) -> i32 {
    let mut groups = io.sys.groups().to_vec();
    if groups.is_empty() {
        groups.push(io.sys.gid());
    }
    let names: Vec<String> = groups.iter().map(|g| group_name(io.sys, *g)).collect();
    io.print(names.join(" ") + "\n");
    0
}

fn hostname(io: &mut Io<'_, '_>) -> i32 {
    let options = options!(io, "fsidF:", &[]);
    if !options.operands.is_empty() {
        io.error("sethostname: Operation not permitted");
        return 1;
    }
    let config = io.sys.config().clone();
    let text = match options.last_of("fsid") {
        Some('f') => config.fqdn.to_string(),
        Some('s') => config.hostname.split('.').next().unwrap_or("").to_string(),
        Some('d') => config.fqdn.split_once('.').map_or("", |(_, d)| d).to_string(),
        Some('i') => own_address(io).unwrap_or_default(),
        _ => config.hostname.to_string(),
    };
    io.print(text + "\n");
    0
}

/// What `/etc/hosts` says of the own name.
fn own_address(io: &mut Io<'_, '_>) -> Option<String> {
    let bytes = io.sys.read_file("/etc/hosts").ok()?;
    let name = io.sys.config().hostname.clone();
    String::from_utf8_lossy(&bytes).lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let address = words.next()?;
        words.any(|w| *w == *name).then(|| address.to_string())
    })
}

fn uname(io: &mut Io<'_, '_>) -> i32 {
    let options = options!(io, "asnrvmpio", &[]);
    let config = io.sys.config().clone();
    let all = options.has('a');
    let parts = [
        ('s', "Linux"),
        ('n', &*config.hostname),
        ('r', &*config.kernel),
        ('v', "#1 SMP"),
        ('m', &*config.arch),
        ('o', "GNU/Linux"),
    ];
    let wanted: Vec<&str> = parts.iter().filter(|(c, _)| all || options.has(*c)).map(|(_, text)| *text).collect();
    let line = if wanted.is_empty() { "Linux".to_string() } else { wanted.join(" ") };
    io.print(line + "\n");
    0
}

fn arch(io: &mut Io<'_, '_>) -> i32 {
    let text = format!("{}\n", io.sys.config().arch);
    io.print(text);
    0
}

fn nproc(io: &mut Io<'_, '_>) -> i32 {
    let text = format!("{}\n", io.sys.config().cpus);
    io.print(text);
    0
}

fn command_line(view: &cri_api::ProcessView) -> String {
    if view.state == 'Z' {
        return format!("[{}]", view.comm);
    }
    let line = view.argv.join(" ").replace(['\n', '\t'], " ");
    let program = view.argv.first().map_or("", |a| basename(a).trim_start_matches('-'));
    if program == &*view.comm { line } else { format!("{{{}}} {line}", view.comm) }
}

fn ps(io: &mut Io<'_, '_>) -> i32 {
    // The options of other systems' `ps` (`aux`, `-ef`) show the same list.
    let cols = io.sys.tty_size(1).ok().map(|(cols, _)| cols as usize);
    io.print("PID   USER     COMMAND\n");
    for view in io.sys.processes() {
        let user: String = user_name(io.sys, view.uid).chars().take(8).collect();
        let mut line = format!("{:>5} {user:<8} {}", view.pid, command_line(&view));
        if let Some(cols) = cols {
            line = line.chars().take(cols).collect();
        }
        io.print(line + "\n");
    }
    0
}

fn top(io: &mut Io<'_, '_>) -> i32 {
    let views = io.sys.processes();
    let config = io.sys.config().clone();
    let used: u64 = views.iter().map(|v| v.memory).sum::<u64>() / 1024;
    let total = config.memory / 1024;
    io.print(format!("Mem: {used}K used, {}K free, 0K shrd, 0K buff, 0K cached\n", total.saturating_sub(used)));
    io.print("CPU:   0% usr   0% sys   0% nic 100% idle   0% io   0% irq   0% sirq\n");
    io.print(format!("Load average: 0.00 0.00 0.00 1/{} {}\n", views.len(), io.sys.pid()));
    io.print("  PID  PPID USER     STAT   VSZ %VSZ CPU %CPU COMMAND\n");
    for view in &views {
        let user = user_name(io.sys, view.uid);
        let kb = view.memory / 1024;
        let parent = if view.parent == u32::MAX { 1 } else { view.parent };
        let percent = (kb * 100).checked_div(total).unwrap_or(0);
        let line = format!(
            "{:>5} {parent:>5} {user:<8} {}   {kb:>6} {percent:>3}%   0   0% {}\n",
            view.pid,
            view.state,
            command_line(view)
        );
        io.print(line);
    }
    0
}

fn pidof(io: &mut Io<'_, '_>) -> i32 {
    let options = options!(io, "sfxlo:", &[]);
    let own = io.sys.pid();
    let pgrep = io.name() == "pgrep";
    let mut found = Vec::new();
    for name in &options.operands {
        for view in io.sys.processes().iter().filter(|v| v.pid != own && v.state != 'Z') {
            let hit = match pgrep {
                true if options.has('f') => view.argv.join(" ").contains(&**name),
                true => view.comm.contains(&**name),
                false => view.comm == *name || view.argv.first().is_some_and(|a| basename(a) == &**name),
            };
            if hit {
                found.push(view.pid.to_string());
            }
        }
    }
    if found.is_empty() {
        return 1;
    }
    io.print(found.join(if pgrep { "\n" } else { " " }) + "\n");
    0
}

fn killall(io: &mut Io<'_, '_>) -> i32 {
    let args = io.args();
    let mut signal = cri_api::Signal::TERM;
    let mut code = 0;
    for arg in &args {
        if let Some(name) = arg.strip_prefix('-') {
            signal = cri_api::Signal::parse(name).unwrap_or(signal);
            continue;
        }
        let own = io.sys.pid();
        let hits: Vec<u32> = io.sys.processes().iter().filter(|v| v.pid != own && v.comm == *arg).map(|v| v.pid).collect();
        if hits.is_empty() {
            io.error(format!("{arg}: no process killed"));
            code = 1;
        }
        for pid in hits {
            let _ = io.sys.kill(pid as i64, signal);
        }
    }
    code
}

fn free(io: &mut Io<'_, '_>) -> i32 {
    let options = options!(io, "bkmgh", &[]);
    let used: u64 = io.sys.processes().iter().map(|v| v.memory).sum();
    let total = io.sys.config().memory;
    let show = |bytes: u64| match options.last_of("bkmgh") {
        Some('b') => bytes.to_string(),
        Some('m') => (bytes >> 20).to_string(),
        Some('g') => (bytes >> 30).to_string(),
        Some('h') => super::ls::human(bytes),
        _ => (bytes >> 10).to_string(),
    };
    let free = total.saturating_sub(used);
    io.print("              total        used        free      shared  buff/cache   available\n");
    io.print(format!(
        "Mem:     {:>10}  {:>10}  {:>10}  {:>10}  {:>10}  {:>10}\nSwap:    {:>10}  {:>10}  {:>10}\n",
        show(total),
        show(used),
        show(free),
        show(0),
        show(0),
        show(free),
        show(0),
        show(0),
        show(0)
    ));
    0
}

fn mount(io: &mut Io<'_, '_>) -> i32 {
    if !io.args().is_empty() {
        io.error("permission denied (are you root?)");
        return 1;
    }
    let Some(table) = io.read_file("/proc/mounts") else { return 1 };
    for line in String::from_utf8_lossy(&table).lines() {
        let columns: Vec<&str> = line.split(' ').collect();
        if let [device, path, kind, options, ..] = columns.as_slice() {
            io.print(format!("{device} on {path} type {kind} ({options})\n"));
        }
    }
    0
}

fn umount(io: &mut Io<'_, '_>) -> i32 {
    for path in io.args() {
        io.error(format!("can't unmount {path}: Operation not permitted"));
    }
    1
}

fn printenv(io: &mut Io<'_, '_>) -> i32 {
    let (args, env) = (io.args(), io.sys.env());
    if args.is_empty() {
        env.iter().for_each(|(name, value)| io.print(format!("{name}={value}\n")));
        return 0;
    }
    let mut code = 0;
    for name in &args {
        match env.get(name) {
            Some(value) => io.print(format!("{value}\n")),
            None => code = 1,
        }
    }
    code
}

fn tty(io: &mut Io<'_, '_>) -> i32 {
    let quiet = io.args().iter().any(|a| &**a == "-s");
    let is_tty = io.sys.is_tty(0);
    if !quiet {
        io.print(if is_tty { "/dev/pts/0\n" } else { "not a tty\n" });
    }
    !is_tty as i32
}

fn which(io: &mut Io<'_, '_>) -> i32 {
    let options = options!(io, "a", &[]);
    let path = io.sys.var("PATH").unwrap_or_else(|| "/sbin:/usr/sbin:/bin:/usr/bin".into());
    let mut code = 0;
    for name in &options.operands {
        let candidates: Vec<String> = match name.contains('/') {
            true => vec![name.to_string()],
            false => path.split(':').map(|dir| crate::text::join(dir, name)).collect(),
        };
        let mut hit = false;
        for full in candidates {
            let is_file = io.sys.stat(&full).is_ok_and(|s| s.is_file());
            if is_file && io.sys.may(&full, cri_api::vfs::Wanted::Execute).unwrap_or(false) && (!hit || options.has('a')) {
                io.print(format!("{full}\n"));
                hit = true;
            }
        }
        if !hit {
            code = 1;
        }
    }
    code
}

fn run_basename(io: &mut Io<'_, '_>) -> i32 {
    let args: Vec<Text> = io.args().into_iter().filter(|a| &**a != "--").collect();
    let Some(path) = args.first() else {
        io.error("missing operand");
        return 1;
    };
    let name = basename(path);
    let suffix = args.get(1).map_or("", |s| s);
    let name = name.strip_suffix(suffix).filter(|n| !n.is_empty()).unwrap_or(name);
    io.print(format!("{name}\n"));
    0
}

fn run_dirname(io: &mut Io<'_, '_>) -> i32 {
    let args = io.args();
    if args.is_empty() {
        io.error("missing operand");
        return 1;
    }
    for path in &args {
        io.print(format!("{}\n", dirname(path)));
    }
    0
}
