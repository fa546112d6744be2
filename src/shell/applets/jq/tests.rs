//! Programs in, outputs out: what jq 1.7 prints for them (recorded, but where a line says otherwise).

use crate::tests::sh;

/// Runs `jq` with arguments as the shell takes them; stdout and stderr together, and the code.
fn jq(args: &str, input: &str) -> String {
    let script = format!("jq {args} 2>&1 <<'END_OF_INPUT'\n{input}\nEND_OF_INPUT\necho \"=> $?\"");
    let (out, err, _) = sh(&script);
    assert_eq!(err, "", "{args}");
    out
}

const POD: &str = r#"{"kind":"Pod","metadata":{"name":"web-1","labels":{"app":"web","b":"2"},"uid":"x"},"spec":{"containers":[{"name":"c","image":"nginx:1.27","resources":{"limits":{"cpu":"100m"}}},{"name":"side","image":"busybox"}]},"status":{"phase":"Running","podIP":"10.0.0.1"}}"#;

/// Checks rows of (arguments, input, what comes out with `=> CODE` at the end).
fn check(rows: &[(&str, &str, &str)]) {
    let mut wrong = String::new();
    for (args, input, want) in rows {
        let got = jq(args, input);
        if got.trim_end() != *want {
            wrong.push_str(&format!("\n--- jq {args}\n  want {want:?}\n  got  {:?}\n", got.trim_end()));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn what_people_do_with_kubectl() {
    check(&[
        (".metadata.name", POD, "\"web-1\"\n=> 0"),
        ("-r .metadata.name", POD, "web-1\n=> 0"),
        ("-r '.spec.containers[].image'", POD, "nginx:1.27\nbusybox\n=> 0"),
        ("-r '.spec.containers[] | select(.name==\"c\") | .image'", POD, "nginx:1.27\n=> 0"),
        (
            "-c '{name: .metadata.name, images: [.spec.containers[].image]}'",
            POD,
            "{\"name\":\"web-1\",\"images\":[\"nginx:1.27\",\"busybox\"]}\n=> 0",
        ),
        ("-r '.metadata.labels | to_entries[] | \"\\(.key)=\\(.value)\"'", POD, "app=web\nb=2\n=> 0"),
        ("-r '[.metadata.name, .status.phase] | @tsv'", POD, "web-1\tRunning\n=> 0"),
        ("-r '[.metadata.name, .status.phase] | @csv'", POD, "\"web-1\",\"Running\"\n=> 0"),
        (
            "-c 'del(.spec, .status, .metadata.uid)'",
            POD,
            "{\"kind\":\"Pod\",\"metadata\":{\"name\":\"web-1\",\"labels\":{\"app\":\"web\",\"b\":\"2\"}}}\n=> 0",
        ),
        (
            "-c '.spec.containers |= map(.name)' ",
            POD,
            "{\"kind\":\"Pod\",\"metadata\":{\"name\":\"web-1\",\"labels\":{\"app\":\"web\",\"b\":\"2\"},\"uid\":\"x\"},\"spec\":{\"containers\":[\"c\",\"side\"]},\"status\":{\"phase\":\"Running\",\"podIP\":\"10.0.0.1\"}}\n=> 0",
        ),
        ("'.spec.containers[1].resources.limits.cpu // \"none\"'", POD, "\"none\"\n=> 0"),
        ("-c '[.. | .image? // empty]'", POD, "[\"nginx:1.27\",\"busybox\"]\n=> 0"),
        ("-c --arg n side '.spec.containers[] | select(.name == $n)'", POD, "{\"name\":\"side\",\"image\":\"busybox\"}\n=> 0"),
        ("-S -c .metadata", POD, "{\"labels\":{\"app\":\"web\",\"b\":\"2\"},\"name\":\"web-1\",\"uid\":\"x\"}\n=> 0"),
        (".metadata.labels", POD, "{\n  \"app\": \"web\",\n  \"b\": \"2\"\n}\n=> 0"),
        ("--tab .metadata.labels", POD, "{\n\t\"app\": \"web\",\n\t\"b\": \"2\"\n}\n=> 0"),
        ("--indent 1 .metadata.labels", POD, "{\n \"app\": \"web\",\n \"b\": \"2\"\n}\n=> 0"),
        ("-r '.data.p | @base64d'", r#"{"data":{"p":"czNjcjN0"}}"#, "s3cr3t\n=> 0"),
        ("-c 'paths(type == \"number\")'", r#"{"a":[1,{"b":2}]}"#, "[\"a\",0]\n[\"a\",1,\"b\"]\n=> 0"),
        (
            "-c 'group_by(.n) | map({n: .[0].n, count: length})'",
            r#"[{"n":"b"},{"n":"a"},{"n":"b"}]"#,
            "[{\"n\":\"a\",\"count\":1},{\"n\":\"b\",\"count\":2}]\n=> 0",
        ),
        ("-s -c 'map(.a) | add'", "{\"a\":1}\n{\"a\":2}", "3\n=> 0"),
        ("-R -c .", "a b\n\"c\"", "\"a b\"\n\"\\\"c\\\"\"\n=> 0"),
        ("-R -s .", "a\nb", "\"a\\nb\\n\"\n=> 0"),
        ("-n '[inputs] | length'", "1 2 3", "3\n=> 0"),
        ("-n -c '[input, input]'", "1 2 3", "[1,2]\n=> 0"),
        ("-j '.[]'", "[\"a\",1,\"b\"]", "a1b=> 0"),
        ("-a .", "\"é😀\"", "\"\\u00e9\\ud83d\\ude00\"\n=> 0"),
        ("-n -c '$ENV.HOME, env.HOME, $ARGS.named' --arg x 1", "", "\"/root\"\n\"/root\"\n{\"x\":\"1\"}\n=> 0"),
        ("-n -c --args '$ARGS.positional' a b", "", "[\"a\",\"b\"]\n=> 0"),
        ("-n -c --argjson v '{\"a\":[1]}' '$v.a'", "", "[1]\n=> 0"),
        ("-c 'with_entries(.value |= tostring)'", "{\"b\":1,\"a\":true}", "{\"b\":\"1\",\"a\":\"true\"}\n=> 0"),
    ]);
}

#[test]
fn exit_codes_and_errors() {
    check(&[
        ("-e .a", "{\"a\":1}", "1\n=> 0"),
        ("-e .a", "{}", "null\n=> 1"),
        ("-e empty", "{}", "=> 4"),
        (".a", "[1]", "jq: error (at <stdin>:1): Cannot index array with string \"a\"\n=> 5"),
        (".a.b", "{\"a\":1}\n{\"a\":{\"b\":2}}", "jq: error (at <stdin>:1): Cannot index number with string \"b\"\n2\n=> 5"),
        ("'.[]'", "3", "jq: error (at <stdin>:1): Cannot iterate over number (3)\n=> 5"),
        (".a", "{\"a\":1,}", "jq: parse error: Expected another key-value pair at line 1, column 8\n=> 2"),
        (".", "NAME   READY\nweb   1/1", "jq: parse error: Invalid numeric literal at line 1, column 5\n=> 2"),
        (".", "{\"a\":[1,2", "jq: parse error: Unfinished JSON term at EOF at line 2, column 0\n=> 2"),
        (
            "'.a | foo(1)'",
            "{}",
            "jq: error: foo/1 is not defined at <top-level>, line 1:\n.a | foo(1)     \njq: 1 compile error\n=> 3",
        ),
        (
            "'{a'",
            "{}",
            "jq: error: syntax error, unexpected end of file, expecting '}' (Unix shell quoting issues?) at <top-level>, line 1:\n{a \njq: 1 compile error\n=> 3",
        ),
        ("-n 'error({a: 1})'", "", "jq: error (at <unknown>) (not a string): {\"a\":1}\n=> 5"),
        ("-n '\"bye\" | halt_error(3)'", "", "bye=> 3"),
        (". nosuch.json", "", "jq: error: Could not open nosuch.json: No such file or directory\n=> 2"),
        (
            "--stream .",
            "",
            "jq: --stream is not in this bottle\nUse jq --help for help with command-line options,\nor see the jq manpage, or online docs  at https://jqlang.github.io/jq\n=> 2",
        ),
        ("'try error(\"x\") catch .'", "1", "\"x\"\n=> 0"),
        ("'.a?'", "1", "=> 0"),
        (
            "'\"x\" | test(\"(\")'",
            "1",
            "jq: error (at <stdin>:1): ( (at offset 0) is not a valid regex: found open group without closing ')'\n=> 5",
        ),
    ]);
}

#[test]
fn numbers_keep_their_digits() {
    check(&[
        (
            "-c .",
            "[1, 1.0, 1.10, 100000000000000000000, 9007199254740993, -0, 0.1, 1e3, 1E-7]",
            "[1,1.0,1.10,100000000000000000000,9007199254740993,-0,0.1,1000,1e-07]\n=> 0",
        ),
        ("-c 'map(. + 1)'", "[1, 1.5, 9007199254740993]", "[2,2.5,9007199254740992]\n=> 0"),
        ("-c '.[0] == .[1], (map(. * 1) | unique)'", "[1, 1.0]", "true\n[1]\n=> 0"),
        (
            "-n -c '[1/3, 0.1 + 0.2, 1e17 * 10, 3 / 2, 10 / 5, infinite, nan]'",
            "",
            "[0.3333333333333333,0.30000000000000004,1e+18,1.5,2,1.7976931348623157e+308,null]\n=> 0",
        ),
    ]);
}

/// What jq prints for programs without input.
const PROGRAMS: &[(&str, &str)] = &[
    ("[range(0,1;3,4)]", "[0,1,2,0,1,2,3,1,2,1,2,3]"),
    ("[pow(2,3;1,2)]", "[2,3,4,9]"),
    ("[{a:(1,2),b:(3,4)}]", r#"[{"a":1,"b":3},{"a":1,"b":4},{"a":2,"b":3},{"a":2,"b":4}]"#),
    (r#"["\(1,2) \(3,4)"]"#, r#"["1 3","2 3","1 4","2 4"]"#),
    ("[foreach range(3) as $i (0;.+$i;[$i,.])]", "[[0,0],[1,1],[2,3]]"),
    ("reduce (1,2) as $x (0;empty)", "null"),
    ("def f(g): [g,g]; f(1,2)", "[1,2,1,2]"),
    ("def f($a;$b): [$a,$b]; [f(1,2;3,4)]", "[[1,3],[1,4],[2,3],[2,4]]"),
    ("def fac: if . <= 1 then 1 else . * (. - 1 | fac) end; 10|fac", "3628800"),
    ("def f: def g: 3; g; f", "3"),
    ("label $f|1,break $f,2", "1"),
    ("[limit(3;range(100))], [first(range(5;0;-1))], [limit(0;1)]", "[0,1,2]\n[5]\n[]"),
    ("1 as $x | 2 as $y | [$x,$y]", "[1,2]"),
    (r#"[[1,{"b":2}]] | .[] as [$a,{b:$c}] | [$a,$c]"#, "[1,2]"),
    (r#"{"k":"a","a":5}|. as {k:$k, ("a"):$z}|[$k,$z]"#, r#"["a",5]"#),
    ("try (1,error(\"x\"),3) catch .", "1\n\"x\""),
    ("[.[]?], [1//2,null//3,(empty//4),(false,1//5)]", "[]\n[1,3,4,false,1]"),
    ("[true and (true,false), (null or 1)]", "[true,false,true]"),
    ("[1,2,3] | del(.[0,2]), .[1:], .[-1:], .[:-1]", "[2]\n[2,3]\n[3]\n[1,2]"),
    ("[range(4)]|.[1:3]|=map(.*10)", "[0,10,20,3]"),
    ("[1,2,3,4]|.[]|=empty", "[]"),
    ("[1,2,3,4]|map_values(select(. > 2))", "[3,4]"),
    (r#"{} | .a.b.c=1 | .a.b.d += 2 | .x //= "y""#, r#"{"a":{"b":{"c":1,"d":2}},"x":"y"}"#),
    ("[1]|.[0]+=(1,2)", "[2]\n[3]"),
    ("[[1]]|[path(..)], [paths], [leaf_paths]", "[[],[0],[0,0]]\n[[0],[0,0]]\n[[0,0]]"),
    (r#"{"a":5}|[path(limit(1;.a,.b)), path(first(.b,.a))]"#, r#"[["a"],["b"]]"#),
    ("[[1]]|.. |= (if type==\"number\" then .+1 else . end)", "[[2]]"),
    (r#""xabac"|[match("a(b)?";"g")|[.offset,.length,.captures[0].string]]"#, r#"[[1,2,"b"],[3,1,null]]"#),
    (r#""foo bar"|capture("(?<a>[a-z]+) (?<b>\\w+)")"#, r#"{"a":"foo","b":"bar"}"#),
    (r#""abab"|gsub("a";"x"),sub("(?<l>a)";"<\(.l)>"),[scan("b")]"#, "\"xbxb\"\n\"<a>bab\"\n[\"b\",\"b\"]"),
    (
        r#""aXbxc"|split("x";"gi"), [splits("[xX]")], ascii_downcase, (split("X")|join("-"))"#,
        "[\"a\",\"b\",\"c\"]\n[\"a\",\"b\",\"c\"]\n\"axbxc\"\n\"a-bxc\"",
    ),
    (r#""1425599621"|tonumber|todate, (todate|fromdate), (gmtime|.[0:3])"#, "\"2015-03-05T23:53:41Z\"\n1425599621\n[2015,2,5]"),
    (r#""2015-03-05T23:51:47Z"|strptime("%Y-%m-%dT%H:%M:%SZ")|., mktime"#, "[2015,2,5,23,51,47,4,63]\n1425599507"),
    (
        r#"[1,"a b",null,true]|@sh,@csv,@tsv,@json,@text"#,
        "\"1 'a b' null true\"\n\"1,\\\"a b\\\",,true\"\n\"1\\ta b\\t\\ttrue\"\n\"[1,\\\"a b\\\",null,true]\"\n\"[1,\\\"a b\\\",null,true]\"",
    ),
    (r#""ü/?<"|@uri,@html,@base64,(@base64|@base64d)"#, "\"%C3%BC%2F%3F%3C\"\n\"ü/?&lt;\"\n\"w7wvPzw=\"\n\"ü/?<\""),
    (
        "[3,1,2]|sort_by(-.),min,max,add,(map(select(.>1))|length),any(.>2),all(.>2),index(2)",
        "[3,2,1]\n1\n3\n6\n2\ntrue\nfalse\n2",
    ),
    ("[1,[2,[3]]]|flatten,flatten(1)", "[1,2,3]\n[1,2,[3]]"),
    (
        r#"{"b":2,"a":1}|keys,keys_unsorted,to_entries,(to_entries|from_entries),has("a"),length"#,
        "[\"a\",\"b\"]\n[\"b\",\"a\"]\n[{\"key\":\"b\",\"value\":2},{\"key\":\"a\",\"value\":1}]\n{\"b\":2,\"a\":1}\ntrue\n2",
    ),
    (r#"{"a":{"b":1}}*{"a":{"c":2}}"#, r#"{"a":{"b":1,"c":2}}"#),
    (
        r#"[{"a":1,"b":2},{"a":1,"b":3}]|group_by(.a),unique_by(.a),(max_by(.b).b)"#,
        "[[{\"a\":1,\"b\":2},{\"a\":1,\"b\":3}]]\n[{\"a\":1,\"b\":2}]\n3",
    ),
    ("[{},[],\"a\",1,true,false,null]|sort", r#"[null,false,true,1,"a",[],{}]"#),
    (
        "\"abc\"|test(\"B\";\"i\"),startswith(\"a\"),ltrimstr(\"a\"),rtrimstr(\"c\"),contains(\"bc\"),(explode|implode),.[1:2],length",
        "true\ntrue\n\"bc\"\n\"ab\"\ntrue\n\"abc\"\n\"b\"\n3",
    ),
    ("[1|while(.<10;.*2)], (1|until(.>100;.*2)), [recurse(if . == null then 1 else empty end)]", "[1,2,4,8]\n128\n[null,1]"),
    ("[[1,2],[3,4]]|[combinations]|length, .[0]", "4\n[1,3]"),
    ("[1,[2]]|walk(if type==\"number\" then .+1 else . end), tojson, getpath([1,0])", "[2,[3]]\n\"[1,[2]]\"\n2"),
    ("if false then 1 elif true then 2 else 3 end, (if true then 4 end)", "2\n4"),
    (
        "\"v\" as $v | {$v, \"a\\(1)\": 2, (\"k\"|ascii_upcase): 3, @base64 \"x\": 4, if: 5}",
        r#"{"v":"v","a1":2,"K":3,"x":4,"if":5}"#,
    ),
    ("[.a?//1, (.a.b|type), .[\"x\"]?, ..]", r#"[1,"null",null,null]"#),
    ("-(1), 1 - -1, -1 * 2 + 3, 7 % -3, (5 % 3)", "-1\n2\n1\n1\n2"),
    ("1, 2 | . + 1 # a comment", "2\n3"),
    (".[1,2] | not", "true\ntrue"),
];

#[test]
fn programs() {
    let mut wrong = String::new();
    for (program, want) in PROGRAMS {
        let got = jq(&format!("-nc -- '{}'", program.replace('\'', "'\\''")), "");
        let want = format!("{want}\n=> 0");
        if got.trim_end() != want {
            wrong.push_str(&format!("\n--- {program}\n  want {want:?}\n  got  {:?}\n", got.trim_end()));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Programs without end, and without bound.
#[test]
fn nothing_grows_without_bound() {
    use cri_api::{Stdio, StreamId};
    let out = [Stdio::Null, Stdio::Stream(StreamId(1)), Stdio::Stream(StreamId(2))];
    for (program, killed) in [
        ("def f: 1 + f; f", true),
        ("[repeat(1)]", true),
        ("\"x\" | until(false; . + .)", true),
        ("[limit(1000000; repeat([range(1000)]))]", true),
        ("def f: f; f", false),
        ("last(range(1e12))", false),
        ("null | path(repeat(.a))", false),
    ] {
        let mut world = crate::tests::World::new();
        let config = cri_api::MachineConfig {
            cpu: cri_api::Cpu { burst: 100_000, per_second: 5_000 },
            memory_limit: Some(4 << 20),
            ..(*world.machine.config).clone()
        };
        world.machine = cri_api::Machine::new(config, crate::tests::image());
        let pid = world.start(&["jq", "-n", program], out);
        world.run(20);
        assert!(world.machine.used_steps() < 220_000, "{program}: {} steps", world.machine.used_steps());
        assert!(world.stdout.len() < 8 << 20, "{program}: {} bytes", world.stdout.len());
        assert_eq!(world.status(pid).is_some(), killed, "{program}: {:?}", world.status(pid));
    }
}

#[test]
fn what_is_nested_too_deep_is_refused() {
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    check(&[
        (".", &deep, "jq: parse error: Exceeds depth limit for parsing at line 1, column 1001\n=> 2"),
        ("-n 'reduce range(100000) as $i (null; [.])'", "", "jq: error (at <unknown>): Exceeds depth limit\n=> 5"),
        ("-n '[.] | until(false; {a: .})'", "", "jq: error (at <unknown>): Exceeds depth limit\n=> 5"),
        ("-n 'reduce range(2000) as $i ([]; setpath([0]; .))'", "", "jq: error (at <unknown>): Exceeds depth limit\n=> 5"),
    ]);
    let program = format!("{}1{}", "(".repeat(500), ")".repeat(500));
    assert!(jq(&format!("-n '{program}'"), "").contains("is not in this bottle"));
}
