//! The shell's language, as rows of script, output, errors, code.

use super::{check, shell_run};

#[test]
fn words_and_quotes() {
    check(&[
        ("echo hello world", "hello world\n", "", 0),
        ("echo 'a  b'   c", "a  b c\n", "", 0),
        ("echo \"a $((1+2)) b\"", "a 3 b\n", "", 0),
        ("x=5; echo $x ${x} \"$x\" '$x'", "5 5 5 $x\n", "", 0),
        ("echo a\\ b \\$x", "a b $x\n", "", 0),
        ("echo \"\\$x \\\\ \\a\"", "$x \\ \\a\n", "", 0),
        ("x='a  b'; echo $x; echo \"$x\"", "a b\na  b\n", "", 0),
        ("x='*'; cd /etc; echo $x \"$x\"", "group passwd *\n", "", 0),
        ("echo $'a\\tb\\x41'", "a\tbA\n", "", 0),
        ("echo ~ ~/x \"~\" a~", "/root /root/x ~ a~\n", "", 0),
        ("x=~/y; echo $x", "/root/y\n", "", 0),
        ("echo a#b # comment", "a#b\n", "", 0),
        ("echo one \\\ntwo", "one two\n", "", 0),
        ("set -- a 'b c' d; for i in \"$@\"; do echo \"[$i]\"; done", "[a]\n[b c]\n[d]\n", "", 0),
        ("set -- a 'b c'; for i in $*; do echo $i; done; echo \"$*\" $#", "a\nb\nc\na b c 2\n", "", 0),
        ("set --; echo \"[$@]\" $#; for i in \"$@\"; do echo no; done", "[] 0\n", "", 0),
        ("set -- a b; echo \"x$@y\"", "xa by\n", "", 0),
        ("IFS=:; x=a:b::c; for i in $x; do echo \"[$i]\"; done", "[a]\n[b]\n[]\n[c]\n", "", 0),
        ("IFS=,; set -- a b c; echo \"$*\"", "a,b,c\n", "", 0),
        ("x=; echo [$x] [\"$x\"]", "[] []\n", "", 0),
        ("set -- '' x; echo $#", "2\n", "", 0),
    ]);
}

#[test]
fn parameters() {
    check(&[
        ("echo ${x:-d} ${x-d} ${x:=e} $x", "d d e e\n", "", 0),
        ("x=; echo [${x:-d}] [${x-d}] [${x:+s}] [${x+s}]", "[d] [] [] [s]\n", "", 0),
        ("x=abc; echo ${#x}", "3\n", "", 0),
        ("x=a.b.c; echo ${x#*.} ${x##*.} ${x%.*} ${x%%.*}", "b.c c a.b a\n", "", 0),
        ("f=/a/b/c.txt; echo ${f##*/} ${f%/*}", "c.txt /a/b\n", "", 0),
        ("x=hello; echo ${x:1:3} ${x:2} ${x: -2}", "ell llo lo\n", "", 0),
        ("x=aXbXc; echo ${x/X/-} ${x//X/-} ${x/#a/A} ${x/%c/C}", "a-bXc a-b-c AXbXc aXbXC\n", "", 0),
        ("echo ${x:?gone}; echo no", "", "sh: x: gone\n", 2),
        ("set -u; echo $nope; echo no", "", "sh: nope: parameter not set\n", 2),
        ("set -u; echo ${nope:-ok}", "ok\n", "", 0),
        ("readonly r=1; r=2; echo no", "", "sh: r: is read only\n", 2),
        ("x=1; unset x; echo [${x-unset}]", "[unset]\n", "", 0),
        ("x='a b'; echo ${x:+\"$x\"} ${y:-'c  d'}", "a b c  d\n", "", 0),
        ("echo $((2+3*4)) $(( (2+3)*4 )) $((7/2)) $((7%3)) $((-7/2))", "14 20 3 1 -3\n", "", 0),
        ("x=5; echo $((x*2)) $(($x+1)) $((x++)) $x $((++x))", "10 6 5 6 7\n", "", 0),
        ("echo $((1<2)) $((1&&0)) $((1||0)) $((!1)) $((~0)) $((1?2:3))", "1 0 1 0 -1 2\n", "", 0),
        ("echo $((0x1f)) $((010)) $((1<<4)) $((5&3)) $((5|3)) $((5^3))", "31 8 16 1 7 6\n", "", 0),
        ("x=3; : $((x+=4)); echo $x; echo $((y=x*2)) $y", "7\n14 14\n", "", 0),
        ("echo $((1/0)); echo no", "", "sh: divide by zero\n", 2),
        ("echo $((1+)); echo no", "", "sh: arithmetic syntax error\n", 2),
        ("x=a; x+=b; echo $x", "ab\n", "", 0),
        ("a=1 b=$a; echo $b", "1\n", "", 0),
        ("x=${y:=$(echo z)}; echo $x$y", "zz\n", "", 0),
    ]);
}

#[test]
fn substitution() {
    check(&[
        ("echo $(echo a; echo b)", "a b\n", "", 0),
        ("echo \"$(echo a; echo b)\"", "a\nb\n", "", 0),
        ("x=$(echo hi); echo [$x]", "[hi]\n", "", 0),
        ("echo `echo back \\`echo nested\\``", "back nested\n", "", 0),
        ("echo $(echo $(echo deep))", "deep\n", "", 0),
        ("x=$(exit 3); echo $?", "3\n", "", 0),
        ("$(echo echo) run", "run\n", "", 0),
        ("x=1; y=$(x=2; echo $x); echo $x $y", "1 2\n", "", 0),
        ("echo $(printf 'a\\n\\n\\n')x", "ax\n", "", 0),
        ("for i in $(echo 1 2 3); do echo $i; done", "1\n2\n3\n", "", 0),
        ("echo $(cat /etc/group | head -1)", "root:x:0:\n", "", 0),
        ("i=0; echo $((i+=1)) $(echo x) $i", "1 x 1\n", "", 0),
        ("case $(echo b) in a) echo A;; b) echo B;; esac", "B\n", "", 0),
        ("echo $( (echo sub) )", "sub\n", "", 0),
        ("echo \"$(echo \"in quotes\")\"", "in quotes\n", "", 0),
    ]);
}

#[test]
fn control() {
    check(&[
        ("if true; then echo y; else echo n; fi", "y\n", "", 0),
        ("if false; then echo a; elif true; then echo b; else echo c; fi", "b\n", "", 0),
        ("if false; then echo a; fi; echo $?", "0\n", "", 0),
        ("for i in 1 2 3; do echo $i; done", "1\n2\n3\n", "", 0),
        ("for i in 1 2 3 4; do [ $i = 2 ] && continue; [ $i = 4 ] && break; echo $i; done", "1\n3\n", "", 0),
        ("i=0; while [ $i -lt 3 ]; do i=$((i+1)); echo $i; done", "1\n2\n3\n", "", 0),
        ("i=0; until [ $i -ge 2 ]; do i=$((i+1)); done; echo $i", "2\n", "", 0),
        ("for a in 1 2; do for b in x y; do [ $b = y ] && continue 2; echo $a$b; done; done", "1x\n2x\n", "", 0),
        ("for a in 1 2; do for b in x y; do break 2; done; done; echo $a$b", "1x\n", "", 0),
        ("case abc in a*) echo one;; *) echo two;; esac", "one\n", "", 0),
        ("case x in a|x) echo hit;; esac", "hit\n", "", 0),
        ("case '*' in '*') echo star;; esac; case b in [a-c]) echo range;; esac", "star\nrange\n", "", 0),
        ("case z in a) ;; esac; echo $?", "0\n", "", 0),
        ("true && echo a || echo b; false && echo c || echo d", "a\nd\n", "", 0),
        ("! true; echo $?; ! false; echo $?", "1\n0\n", "", 0),
        ("(exit 3); echo $?; { echo g; }; (x=1; echo $x); echo [$x]", "3\ng\n1\n[]\n", "", 0),
        ("f() { echo \"$1-$2 $#\"; return 4; }; f a b; echo $?", "a-b 2\n4\n", "", 0),
        ("f() { local x=in; echo $x; }; x=out; f; echo $x", "in\nout\n", "", 0),
        ("f() { x=changed; }; x=1; f; echo $x", "changed\n", "", 0),
        ("fact() { [ $1 -le 1 ] && { echo 1; return; }; echo $(( $1 * $(fact $(($1-1))) )); }; fact 5", "120\n", "", 0),
        ("f() { f; }; f", "", "sh: maximum function nesting level exceeded\n", 2),
        ("set -- a b c; shift; echo $1 $#; shift 5; echo $?", "b 2\n1\n", "", 0),
        ("while :; do break; done; echo done", "done\n", "", 0),
        ("for i; do echo $i; done", "", "", 0),
        ("[[ abc == a* && -n x ]] && echo y; [[ a < b ]] && echo lt; [[ foo =~ ^f(o+)$ ]] && echo re", "y\nlt\nre\n", "", 0),
        ("((3>2)) && echo yes; ((0)) || echo no", "yes\nno\n", "", 0),
        ("exit 7; echo no", "", "", 7),
        ("exit 300", "", "", 44),
        ("eval 'x=1; echo $x'; eval echo '$x'", "1\n1\n", "", 0),
        ("echo 'echo sourced $1; return 3; echo no' > /tmp/s; . /tmp/s; echo $?", "sourced\n3\n", "", 0),
    ]);
}

#[test]
fn redirections_and_pipes() {
    check(&[
        ("echo a > /tmp/f; echo b >> /tmp/f; cat /tmp/f", "a\nb\n", "", 0),
        ("cat < /etc/group | head -1", "root:x:0:\n", "", 0),
        ("echo err >&2; echo out", "out\n", "err\n", 0),
        ("{ echo a; echo b >&2; } 2>&1 | sort -r", "b\na\n", "", 0),
        ("ls /nope 2>/dev/null; echo $?", "1\n", "", 0),
        ("echo both &> /tmp/b; cat /tmp/b", "both\n", "", 0),
        ("cat <<EOF\nhi $((1+1))\n$(echo sub)\nEOF\necho after", "hi 2\nsub\nafter\n", "", 0),
        ("cat <<'EOF'\nhi $x\nEOF", "hi $x\n", "", 0),
        ("cat <<-EOF\n\t\ttabbed\n\tEOF", "tabbed\n", "", 0),
        ("cat <<< \"a b\"", "a b\n", "", 0),
        ("cat <<A; cat <<B\none\nA\ntwo\nB", "one\ntwo\n", "", 0),
        ("echo x > /nope/f; echo $?", "1\n", "sh: can't create /nope/f: nonexistent directory\n", 0),
        ("cat < /nope; echo $?", "1\n", "sh: can't open /nope: no such file\n", 0),
        ("echo x > /etc; echo $?", "1\n", "sh: can't create /etc: Is a directory\n", 0),
        ("exec 3> /tmp/three; echo t >&3; exec 3>&-; cat /tmp/three", "t\n", "", 0),
        ("echo a | cat | cat | cat", "a\n", "", 0),
        ("false | true; echo $?; set -o pipefail; false | true; echo $?", "0\n1\n", "", 0),
        ("echo a | while read x; do echo got $x; done", "got a\n", "", 0),
        ("printf '1\\n2\\n3\\n' | { read a; read b; echo $a $b; cat; }", "1 2\n3\n", "", 0),
        ("echo 'a b c' | { read x y; echo \"$y\"; }", "b c\n", "", 0),
        ("printf 'a\\\\b\\n' | { read -r x; echo \"$x\"; }", "a\\b\n", "", 0),
        ("yes | head -2", "y\ny\n", "", 0),
        ("for i in 1 2; do echo $i; done > /tmp/l; cat /tmp/l", "1\n2\n", "", 0),
        ("set -C; echo a > /tmp/n; echo b > /tmp/n; cat /tmp/n", "a\n", "sh: can't create /tmp/n: File exists\n", 0),
        ("head -c 200000 /dev/zero | wc -c", "200000\n", "", 0),
    ]);
}

#[test]
fn commands_and_errors() {
    check(&[
        ("nosuch arg", "", "sh: nosuch: not found\n", 127),
        ("/no/such/file", "", "sh: /no/such/file: not found\n", 127),
        ("/etc/passwd", "", "sh: /etc/passwd: Permission denied\n", 126),
        ("cd /nope; echo $?", "2\n", "sh: cd: line 1: can't cd to /nope: No such file or directory\n", 0),
        ("if", "", "sh: syntax error: unexpected end of file (expecting \"then\")\n", 2),
        ("done", "", "sh: syntax error: unexpected \"done\"\n", 2),
        ("echo 'a", "", "sh: syntax error: unterminated quoted string\n", 2),
        ("for i in 1; do echo $i", "", "sh: syntax error: unexpected end of file (expecting \"done\")\n", 2),
        ("echo a; )", "", "sh: syntax error: unexpected \")\"\n", 2),
        ("ls /db/dir", "", "ls: /db/dir: No such file or directory\n", 1),
        ("cat x", "", "cat: can't open 'x': No such file or directory\n", 1),
        ("set -e; false; echo no", "", "", 1),
        ("set -e; if false; then :; fi; false || true; ! true; echo yes", "yes\n", "", 0),
        ("set -e; f() { false; echo no; }; f; echo no", "", "", 1),
        ("set -x; x=1; echo $x 'a b'", "1 a b\n", "+ x=1\n+ echo 1 'a b'\n", 0),
        (
            "type cd ls nosuch; command -v echo ls",
            "cd is a shell builtin\nls is /bin/ls\nnosuch: not found\necho\n/bin/ls\n",
            "",
            0,
        ),
        ("alias ll='echo list'; alias; unalias ll; alias", "ll='echo list'\n", "", 0),
        ("alias e=echo\ne hi", "hi\n", "", 0),
        ("export A=1; sh -c 'echo $A'; B=2 sh -c 'echo $B'; echo [$B]", "1\n2\n[]\n", "", 0),
        ("umask; umask 077; touch /tmp/u; stat -c %a /tmp/u", "0022\n600\n", "", 0),
        ("echo $0 $1 $#", "sh 0\n", "", 0),
        ("printf '%s-%d|%5s|%-5s|%05d|%x\\n' a 3 b c 42 255", "a-3|    b|c    |00042|ff\n", "", 0),
        ("printf '%s\\n' a b c", "a\nb\nc\n", "", 0),
        ("echo -n a; echo -e 'b\\tc'; echo -E 'd\\t'", "ab\tc\nd\\t\n", "", 0),
        ("while getopts 'ab:' o; do echo $o $OPTARG; done; shift $((OPTIND-1)); echo $@", "\n", "", 0),
        ("set -- -a -b v x; while getopts ab: o; do echo $o $OPTARG; done; shift $((OPTIND-1)); echo $@", "a\nb v\nx\n", "", 0),
        ("test 1 -eq 1 && [ a != b ] && [ ! -e /nope ] && [ -d /etc -a -f /etc/passwd ] && echo ok", "ok\n", "", 0),
        ("[ a", "", "sh: missing ]\n", 2),
        ("[ 1 -eq x ]", "", "sh: x: bad number\n", 2),
        ("command cd /etc; pwd; cd ..; pwd; cd -; ", "/etc\n/\n/etc\n", "", 0),
        ("echo '#!/bin/sh\necho script $1' > /tmp/s.sh; chmod +x /tmp/s.sh; /tmp/s.sh a", "script a\n", "", 0),
        ("echo 'echo plain $0' > /tmp/p; chmod +x /tmp/p; /tmp/p", "plain /tmp/p\n", "", 0),
        ("echo 'nosuch' > /tmp/q; sh /tmp/q", "", "/tmp/q: line 1: nosuch: not found\n", 127),
        ("sh /nope", "", "sh: can't open '/nope': No such file or directory\n", 127),
        ("echo 'echo from stdin; read x; echo $x' | sh", "from stdin\n\n", "", 0),
        ("ulimit -c", "0\n", "", 0),
        ("tty", "not a tty\n", "", 1),
    ]);
}

#[test]
fn signals_jobs_and_time() {
    check(&[
        ("trap 'echo bye' EXIT; echo hi", "hi\nbye\n", "", 0),
        ("trap 'echo bye $?' EXIT; exit 3", "bye 3\n", "", 3),
        ("trap 'echo term' TERM; kill -TERM $$; echo after", "term\nafter\n", "", 0),
        ("trap '' TERM; kill -TERM $$; echo alive", "alive\n", "", 0),
        ("kill -9 $$; echo no", "", "", 137),
        ("sleep 100 & kill $!; wait $!; echo $?", "143\n", "", 0),
        ("sleep 1 & sleep 2 & wait; echo done", "done\n", "", 0),
        ("(sleep 1; echo late) & echo early; wait", "early\nlate\n", "", 0),
        ("(exit 5) & wait $!; echo $?", "5\n", "", 0),
        ("sh -c 'kill -9 $$'; echo $?", "137\n", "Killed\n", 0),
        ("a=$(date +%s); sleep 3; b=$(date +%s); echo $((b-a))", "3\n", "", 0),
        ("trap 'echo T; exit 0' TERM; (sleep 1; kill $$) & while :; do sleep 0.2; done", "T\n", "", 0),
        ("timeout 2 sleep 100; echo $?", "143\n", "", 0),
        ("kill 99999", "", "sh: can't kill pid 99999: No such process\n", 1),
        (
            "i=0; until ls /tmp/d; do i=$((i+1)); [ $i = 2 ] && mkdir /tmp/d; sleep 5; done; echo $i",
            "2\n",
            "ls: /tmp/d: No such file or directory\nls: /tmp/d: No such file or directory\n",
            0,
        ),
        ("trap 'echo int' INT; trap; trap - INT; trap", "trap -- 'echo int' INT\n", "", 0),
        ("read -t 2 x; echo $?", "1\n", "", 0),
        ("exec echo replaced; echo no", "replaced\n", "", 0),
        ("exec nosuch; echo no", "", "sh: nosuch: not found\n", 127),
    ]);
}

#[test]
fn bash_words() {
    let cases = [
        ("nosuch", "", "bash: line 1: nosuch: command not found\n", 127),
        ("cd /nope", "", "bash: line 1: cd: /nope: No such file or directory\n", 1),
        ("set -u; echo $x", "", "bash: line 1: x: unbound variable\n", 1),
        ("x=abc; echo ${x^^} ${x^}; f=x; echo ${!f}", "ABC Abc\nabc\n", "", 0),
        ("cat < /nope", "", "bash: line 1: /nope: No such file or directory\n", 1),
    ];
    for (script, stdout, stderr, code) in cases {
        assert_eq!(shell_run("bash", script), (stdout.to_string(), stderr.to_string(), code), "{script}");
    }
}
