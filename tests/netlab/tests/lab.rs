//! That a lab does what its topology says. Skipped, with the reason, where no lab can run.

#![expect(clippy::unwrap_used, reason = "these are tests, and so are their helpers")]
#![cfg(target_os = "linux")]

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use huddle_netlab::{Lab, Topology};

fn lab(test: &str, topology: &str) -> Option<Lab> {
    if let Some(reason) = Lab::unavailable() {
        eprintln!("skipped: {reason}");
        return None;
    }
    let name = format!("{test}{:x}", std::process::id());
    Some(Lab::up(&name, Topology::parse(topology).unwrap()).unwrap())
}

/// Runs Python on a host and returns what it printed.
fn python(lab: &Lab, host: &str, code: &str) -> String {
    let output = lab.command(host, "python3").args(["-c", code]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

const SINK: &str = "
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('0.0.0.0', 7)); s.settimeout(SECONDS)
s.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)
while True:
    try: data, who = s.recvfrom(2000)
    except TimeoutError: break
    s.sendto(who[0].encode(), who)
";

/// Echoes datagrams, with the address they came from, until none has come for some seconds.
fn echo(lab: &Lab, host: &str) -> std::process::Child {
    let mut command = lab.command(host, "python3");
    let child = command.args(["-c", &SINK.replace("SECONDS", "20")]).stdout(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    child
}

fn ask(lab: &Lab, from: &str, to: &str, network: &str, count: u32) -> (u32, f64, String) {
    let address = lab.address(to, network).unwrap();
    let code = format!(
        "
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.setsockopt(socket.SOL_SOCKET, 33, 8 << 20) # SO_RCVBUFFORCE: what waits to be read is not lost
s.settimeout(1); s.connect(('{address}', 7))
got, best, who = 0, 9, b''
for _ in range(4): # neighbours have to find each other before many packets fit
    try: s.send(b'x'); s.recv(99); break
    except (TimeoutError, OSError): pass
for _ in range({count}): s.send(b'x'); time.sleep(0.0005)
try:
    while True: who = s.recv(99); got += 1
except (TimeoutError, ConnectionError): pass
for _ in range(3):
    begin = time.perf_counter()
    try: s.send(b'x'); who = s.recv(99); best = min(best, time.perf_counter() - begin)
    except (TimeoutError, OSError): pass
print(got, best, who.decode() or '-')"
    );
    let said = python(lab, from, &code);
    let words: Vec<&str> = said.split(' ').collect();
    (words[0].parse().unwrap(), words[1].parse().unwrap(), words[2].to_owned())
}

#[test]
fn delay_and_loss_are_what_was_asked_for() {
    let topology = r#"
        [networks.net]
        subnet = "10.70.0.0/24"
        [hosts.a]
        net = { delay = "50ms", loss = 0.1, seed = 3 }
        [hosts.b]
        net = {}
    "#;
    let Some(lab) = lab("delay", topology) else { return };
    let mut echo = echo(&lab, "b");
    let (got, best, _) = ask(&lab, "a", "b", "net", 1000);
    assert!((0.1..0.11).contains(&best), "round trip {best}");
    assert!((750..870).contains(&got), "{got} of 1000 came back, 810 would be usual");
    echo.kill().unwrap();
    echo.wait().unwrap();
}

#[test]
fn a_rate_holds() {
    let topology = r#"
        [networks.net]
        subnet = "10.71.0.0/24"
        [hosts.a]
        net = { up = "80mbit", delay = "5ms" }
        [hosts.b]
        net = { down = "800mbit" }
        [hosts.c]
        net = { up = "80mbit" }
    "#;
    let Some(lab) = lab("rate", topology) else { return };
    let address = lab.address("b", "net").unwrap();
    for from in ["a", "c"] {
        let code = "import socket; s = socket.create_server(('0.0.0.0', 7)); c, _ = s.accept()\nwhile c.recv(65536): pass\nc.send(b'.')";
        let mut sink = lab.command("b", "python3").args(["-c", code]).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(500));
        let send = format!(
            "import socket; s = socket.create_connection(('{address}', 7)); s.sendall(bytes(20_000_000)); s.shutdown(1); s.recv(1)"
        );
        let begin = Instant::now();
        python(&lab, from, &send);
        let rate = 160.0 / begin.elapsed().as_secs_f64();
        assert!((68.0..92.0).contains(&rate), "{from}: {rate} Mbit/s");
        sink.wait().unwrap();
    }
}

#[test]
fn nat_hides_and_a_cut_heals() {
    let topology = r#"
        [networks.wan]
        subnet = "10.72.0.0/24"
        [networks.home]
        subnet = "10.73.0.0/24"
        gateway = "router"
        nat = "random"
        [hosts.laptop]
        home = {}
        [hosts.router]
        home = {}
        wan = {}
        [hosts.server]
        wan = {}
    "#;
    let Some(lab) = lab("nat", topology) else { return };
    let mut echo = echo(&lab, "server");
    let router = lab.address("router", "wan").unwrap().to_string();
    assert_eq!(ask(&lab, "laptop", "server", "wan", 1).2, router);
    lab.cut("server", "wan").unwrap();
    assert_eq!(ask(&lab, "laptop", "server", "wan", 1).0, 0);
    lab.heal("server", "wan").unwrap();
    assert_eq!(ask(&lab, "laptop", "server", "wan", 1).2, router);
    echo.kill().unwrap();
    echo.wait().unwrap();
}
