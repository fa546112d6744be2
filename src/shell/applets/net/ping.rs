//! `ping`: echo requests, one an interval, and their summary.

use std::net::IpAddr;

use base::{Duration, Time};
use cri_api::{CallId, Errno, Poll, Program, Sys, WriteOut};

use crate::applets::{Options, finish};
use crate::resolve::{Lookup, Resolver};

/// `ping -c N -W SECS -i SECS -q HOST`.
#[derive(Clone, Default)]
pub(super) struct Ping {
    started: bool,
    host: String,
    count: Option<u32>,
    interval: Duration,
    wait: Duration,
    resolver: Option<Resolver>,
    ip: Option<IpAddr>,
    call: Option<(CallId, Time)>,
    next: Option<Time>,
    sent: u32,
    received: u32,
    /// Microseconds: least, sum, most.
    times: (i64, i64, i64),
    out: WriteOut,
    code: Option<i32>,
}

impl Ping {
    fn start(&mut self, sys: &mut Sys<'_>) -> Result<(), String> {
        self.started = true;
        let argv = sys.argv();
        let options = Options::parse(&argv[1..], "c:W:w:i:s:qn46I:t:", &[])?;
        self.host = options.operands.first().ok_or("missing operand")?.to_string();
        self.count = options.value('c').and_then(|c| c.parse().ok());
        let span = |letter, default| {
            options.value(letter).and_then(|v| crate::text::parse_duration(v)).unwrap_or(Duration::from_secs(default))
        };
        (self.interval, self.wait) = (span('i', 1), span('W', 10));
        self.resolver = Some(Resolver::new(&self.host));
        sys.on_signal(cri_api::Signal::INT, cri_api::Disposition::Catch);
        Ok(())
    }

    fn summary(&mut self) {
        let lost = (self.sent - self.received) * 100 / self.sent.max(1);
        let mut text = format!(
            "\n--- {} ping statistics ---\n{} packets transmitted, {} packets received, {lost}% packet loss\n",
            self.host, self.sent, self.received
        );
        if self.received > 0 {
            let ms = |us: i64| format!("{}.{:03}", us / 1000, us % 1000);
            let (low, sum, high) = self.times;
            text += &format!("round-trip min/avg/max = {}/{}/{} ms\n", ms(low), ms(sum / self.received as i64), ms(high));
        }
        self.out.push(1, text.as_bytes());
        self.code = Some((self.received == 0) as i32);
    }

    fn step(&mut self, sys: &mut Sys<'_>) -> Option<Poll> {
        if sys.take_signal().is_some() {
            self.summary();
            return None;
        }
        let Some(ip) = self.ip else {
            match self.resolver.as_mut()?.poll(sys) {
                None => return Some(Poll::Pending),
                Some(Lookup::Found(addresses)) => {
                    self.ip = Some(addresses[0]);
                    self.out.push(1, format!("PING {} ({}): 56 data bytes\n", self.host, addresses[0]).as_bytes());
                }
                Some(_) => {
                    self.out.push(2, format!("ping: bad address '{}'\n", self.host).as_bytes());
                    self.code = Some(1);
                }
            }
            return None;
        };
        if let Some((call, at)) = self.call {
            match sys.pong(call) {
                Err(Errno::EAGAIN) if !sys.sleep_until(at + self.wait) => return Some(Poll::Pending),
                Ok(Some(ttl)) => {
                    let us = sys.now().since(at).as_micros();
                    let (low, sum, high) = self.times;
                    self.times = (if self.received == 0 { us } else { low.min(us) }, sum + us, high.max(us));
                    let line =
                        format!("64 bytes from {ip}: seq={} ttl={ttl} time={}.{:03} ms\n", self.sent - 1, us / 1000, us % 1000);
                    self.received += 1;
                    self.out.push(1, line.as_bytes());
                }
                _ => {}
            }
            self.call = None;
            self.next = Some(at + self.interval);
        }
        if self.count.is_some_and(|n| self.sent >= n) {
            self.summary();
            return None;
        }
        if self.next.is_some_and(|at| !sys.sleep_until(at)) {
            return Some(Poll::Pending);
        }
        self.call = Some((sys.ping(ip), sys.now()));
        self.sent += 1;
        None
    }
}

impl Program for Ping {
    fn poll(&mut self, sys: &mut Sys<'_>) -> Poll {
        if !self.started
            && let Err(message) = self.start(sys)
        {
            self.out.push(2, format!("ping: {message}\n").as_bytes());
            self.code = Some(1);
        }
        loop {
            if let Some(code) = self.code {
                return finish(&mut self.out, sys, code);
            }
            match self.out.flush(sys) {
                Ok(true) => {}
                Ok(false) => return Poll::Pending,
                Err(_) => return Poll::Exit(1),
            }
            if let Some(poll) = self.step(sys) {
                return poll;
            }
        }
    }
}
