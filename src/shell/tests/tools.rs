//! Applets, as rows of script, output, errors, code.

use cri_api::{MachineInput, MachineOutput, Stdio, StreamId};

use super::{World, check};

#[test]
fn files() {
    check(&[
        ("mkdir -p /tmp/a/b; echo x > /tmp/a/b/f; ls -R /tmp/a", "/tmp/a:\nb\n\n/tmp/a/b:\nf\n", "", 0),
        ("mkdir /tmp/a; mkdir /tmp/a", "", "mkdir: can't create directory '/tmp/a': File exists\n", 1),
        ("mkdir /no/dir", "", "mkdir: can't create directory '/no/dir': No such file or directory\n", 1),
        ("touch /tmp/f; ls -l /tmp/f | cut -c1-45", "-rw-r--r--    1 root     root             0 N\n", "", 0),
        ("cd /tmp; echo a > f; cp f g; mv g h; cat h; rm f h; ls", "a\n", "", 0),
        ("rm /nope", "", "rm: can't remove '/nope': No such file or directory\n", 1),
        ("rm -f /nope; mkdir /tmp/d; rm /tmp/d", "", "rm: '/tmp/d' is a directory\n", 1),
        ("mkdir -p /tmp/d/e; rmdir /tmp/d", "", "rmdir: '/tmp/d': Directory not empty\n", 1),
        ("mkdir -p /tmp/d/e; rm -rf /tmp/d; ls -d /tmp/d", "", "ls: /tmp/d: No such file or directory\n", 1),
        ("cd /tmp; ln -s f l; readlink l; echo t > f; cat l; ls -l l | sed 's/.* l -/l -/'", "f\nt\nl -> f\n", "", 0),
        ("cd /tmp; echo 1 > a; ln a b; echo 2 >> b; cat a; stat -c '%h %s' a", "1\n2\n2 4\n", "", 0),
        ("cd /tmp; touch f; chmod 640 f; stat -c '%a %A' f; chmod u+x,g-r f; stat -c %a f", "640 -rw-r-----\n700\n", "", 0),
        ("cd /tmp; mkdir s; cp -r /etc s; ls s/etc", "group\npasswd\n", "", 0),
        ("cp /etc /tmp", "", "cp: omitting directory '/etc'\n", 1),
        ("cat /nope /etc/group", "root:x:0:\nnobody:x:65534:\n", "cat: can't open '/nope': No such file or directory\n", 1),
        ("find /etc -type f; find /etc -name 'g*'", "/etc/group\n/etc/passwd\n/etc/group\n", "", 0),
        (
            "cd /tmp; touch a b; find . -type f -exec echo got {} \\;; find . -type f -exec echo {} +; find . -type f -delete; ls",
            "got ./a\ngot ./b\n./a ./b\n",
            "",
            0,
        ),
        ("du -s /etc; realpath /etc/../etc/group; basename /a/b.c .c; dirname /a/b", "12\t/etc\n/etc/group\nb\n/a\n", "", 0),
        ("cd /tmp; echo x > f; tar cf t.tar f; rm f; tar xf t.tar; cat f; tar tf t.tar", "x\nf\n", "", 0),
        (
            "tar cf - /etc/group | tar xf - -C /tmp; cat /tmp/etc/group | head -1",
            "root:x:0:\n",
            "tar: removing leading '/' from member names\n",
            0,
        ),
        ("dd if=/dev/zero of=/tmp/f bs=1k count=3 2>/dev/null; wc -c < /tmp/f", "3072\n", "", 0),
        (
            "printf 'a\\nb\\n' > /tmp/x; printf 'a\\nc\\n' > /tmp/y; diff /tmp/x /tmp/y; cmp /tmp/x /tmp/y",
            "--- /tmp/x\n+++ /tmp/y\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n/tmp/x /tmp/y differ: char 3, line 2\n",
            "",
            1,
        ),
    ]);
}

#[test]
fn text() {
    check(&[
        (
            "printf 'b\\na\\nc\\n' | sort; printf '10\\n9\\n' | sort -n; printf '1\\n2\\n' | sort -r",
            "a\nb\nc\n9\n10\n2\n1\n",
            "",
            0,
        ),
        (
            "printf 'x 2\\ny 1\\n' | sort -k2; printf 'a:3\\nb:1\\n' | sort -t: -k2n; printf 'a\\na\\n' | sort -u",
            "y 1\nx 2\nb:1\na:3\na\n",
            "",
            0,
        ),
        ("printf 'a\\na\\nb\\n' | uniq -c; printf 'a\\na\\nb\\n' | uniq -d", "      2 a\n      1 b\na\n", "", 0),
        ("echo a:b:c | cut -d: -f2; echo abcdef | cut -c2-4; echo a:b:c | cut -d: -f1,3", "b\nbcd\na:c\n", "", 0),
        (
            "echo hello | tr a-y b-z; echo aabb | tr -s a; echo a1b2 | tr -d 0-9; echo abc | tr '[:lower:]' '[:upper:]'",
            "ifmmp\nabb\nab\nABC\n",
            "",
            0,
        ),
        (
            "printf 'a\\nb\\nc\\nd\\n' > /tmp/f; head -2 /tmp/f; tail -n 1 /tmp/f; tail -n +3 /tmp/f; head -c 3 /tmp/f",
            "a\nb\nd\nc\nd\na\nb",
            "",
            0,
        ),
        (
            "printf 'a b\\nc\\n' | wc; printf 'a b\\n' | wc -w; wc -l /etc/group",
            "        2         3         6\n2\n2 /etc/group\n",
            "",
            0,
        ),
        ("seq 3; seq 2 2 6; seq -s, 3; seq 3 -1 1; seq 0.5 0.5 1.5", "1\n2\n3\n2\n4\n6\n1,2,3\n3\n2\n1\n0.5\n1.0\n1.5\n", "", 0),
        (
            "echo foo | sed s/o/0/; echo foo | sed 's/o/0/g;s/f/F/'; printf '1\\n2\\n3\\n' | sed -n 2p; printf '1\\n2\\n3\\n' | sed '2d;$s/3/x/'",
            "f0o\nF00\n2\n1\nx\n",
            "",
            0,
        ),
        (
            "echo 'a-b' | sed -E 's/(.)-(.)/\\2-\\1/'; echo ab | sed 's/\\(a\\)b/\\1&/'; printf 'a\\nb\\nc\\n' | sed -n '/a/,/b/p'; echo x > /tmp/s; sed -i s/x/y/ /tmp/s; cat /tmp/s",
            "b-a\naab\na\nb\ny\n",
            "",
            0,
        ),
        (
            "printf 'a\\nb\\n' | sed '1i\\\ntop'; printf 'a\\nb\\n' | sed 'N;s/\\n/+/'; printf 'a\\nb\\n' | sed '$!d'; printf 'a\\nb\\n' | sed 1q; echo a | sed 's|a|/|'",
            "top\na\nb\na+b\nb\na\n/\n",
            "",
            0,
        ),
        (
            "printf 'foo\\nbar\\nFoo\\n' > /tmp/g; grep o /tmp/g; grep -i foo /tmp/g; grep -v o /tmp/g; grep -c o /tmp/g; grep -n bar /tmp/g",
            "foo\nFoo\nfoo\nFoo\nbar\n2\n2:bar\n",
            "",
            0,
        ),
        (
            "echo a.b | grep -F .; echo abc | grep -o b; echo abc | grep -qE 'a(b|x)c' && echo y; grep zzz /etc/group; echo $?; grep x /nope; echo $?",
            "a.b\nb\ny\n1\n2\n",
            "grep: /nope: No such file or directory\n",
            0,
        ),
        (
            "printf '1\\n2\\n3\\n4\\n' | grep -A1 2; printf '1\\n2\\n3\\n' | grep -B1 3; grep -r root /etc | sort; grep -l root /etc/group",
            "2\n3\n2\n3\n/etc/group:root:x:0:\n/etc/passwd:root:x:0:0:root:/root:/bin/sh\n/etc/group\n",
            "",
            0,
        ),
        (
            "echo 'a b c' | awk '{print $2, NF}'; printf '1\\n2\\n' | awk '{s+=$1} END {print s}'; echo a:b | awk -F: '{print $2}'; awk 'BEGIN{printf \"%d %s\\n\", 3.7, \"x\"}'",
            "b 3\n3\nb\n3 x\n",
            "",
            0,
        ),
        (
            "printf 'a 1\\nb 2\\na 3\\n' | awk '{n[$1]+=$2} END {for (k in n) print k, n[k]}' | sort; printf 'x\\ny\\n' | awk 'NR==2 {print toupper($0)} /x/ {print \"hit\", length($0)}'",
            "a 4\nb 2\nhit 1\nY\n",
            "",
            0,
        ),
        (
            "printf 'a b\\nc\\n' | xargs echo; printf '1 2 3' | xargs -n1 echo n; printf 'x\\ny\\n' | xargs -I{} echo '[{}]'",
            "a b c\nn 1\nn 2\nn 3\n[x]\n[y]\n",
            "",
            0,
        ),
        (
            "echo hi | tee /tmp/t; cat /tmp/t; echo abc | rev; printf '1\\n2\\n' | tac; echo a | cat -n",
            "hi\nhi\ncba\n2\n1\n     1\ta\n",
            "",
            0,
        ),
        (
            "echo hello | base64; echo aGVsbG8K | base64 -d; printf abc | md5sum; printf abc | sha256sum",
            "aGVsbG8K\nhello\n900150983cd24fb0d6963f7d28e17f72  -\nba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  -\n",
            "",
            0,
        ),
        ("expr 1 + 2 \\* 3; expr abc : 'a\\(.\\)c'; expr 1 = 2; expr length hello", "7\nb\n0\n5\n", "", 0),
    ]);
}

#[test]
fn system() {
    check(&[
        ("id; id -u; whoami; hostname; uname; nproc", "uid=0(root) gid=0(root) groups=0(root)\n0\nroot\nbox\nLinux\n4\n", "", 0),
        (
            "date +%Y-%m-%dT%H:%M:%SZ; date -d @0 +%F; date",
            "2026-11-23T03:00:00Z\n1970-01-01\nMon Nov 23 03:00:00 UTC 2026\n",
            "",
            0,
        ),
        (
            "env -i A=1 env; env B=2 sh -c 'echo $B'; env nosuch",
            "A=1\n2\n",
            "env: can't execute 'nosuch': No such file or directory\n",
            127,
        ),
        (
            "ps | head -2; cat /proc/$$/cmdline | tr '\\0' ' '; echo",
            "PID   USER     COMMAND\n    1 root     sh -c ps | head -2; cat /proc/$$/cmdline | tr '\\0' ' '; echo\nsh -c ps | head -2; cat /proc/$$/cmdline | tr '\\0' ' '; echo \n",
            "",
            0,
        ),
        (
            "which ls nosuch; mount | head -1; cut -d. -f1 /proc/uptime; tail -c +1 /proc/self/comm",
            "/bin/ls\noverlay on / type overlay (rw,relatime)\n0\ntail\n",
            "",
            0,
        ),
        ("time sleep 2", "", "real\t0m 2.00s\nuser\t0m 0.00s\nsys\t0m 0.00s\n", 0),
        ("sleep x", "", "sleep: invalid number 'x'\n", 1),
        (
            "[ -t 0 ] || echo no tty; mktemp -d | cut -c1-9; echo data > /tmp/m; truncate -s 2 /tmp/m; cat /tmp/m; echo",
            "no tty\n/tmp/tmp.\nda\n",
            "",
            0,
        ),
    ]);
}

#[test]
fn wget_speaks_http_over_the_network_effects() {
    use cri_api::net::{NetInput, NetOutput};
    let mut world = World::new();
    let out = [Stdio::Null, Stdio::Stream(StreamId(1)), Stdio::Stream(StreamId(2))];
    let pid = world.start(&["wget", "-qO-", "http://10.0.0.1:8080/x"], out);
    let Some(MachineOutput::Net(NetOutput::Connect { conn, port: 8080, .. })) = world.outputs.pop() else { panic!() };
    world.input(MachineInput::Net(NetInput::Connected { conn, local: ([10, 0, 0, 2].into(), 40000) }));
    let Some(MachineOutput::Net(NetOutput::Send { data, .. })) = world.outputs.pop() else { panic!() };
    assert!(data.starts_with(b"GET /x HTTP/1.1\r\nHost: 10.0.0.1:8080\r\n"));
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi\n";
    world.input(MachineInput::Net(NetInput::Data { conn, data: answer[..].into() }));
    assert_eq!((&*world.stdout, world.status(pid)), (&b"hi\n"[..], Some(0)));

    let pid = world.start(&["wget", "-T", "2", "http://10.0.0.1/"], out);
    world.run(3);
    assert_eq!(world.status(pid), Some(1));
    assert!(String::from_utf8_lossy(&world.stderr).ends_with("wget: download timed out\n"));
}
