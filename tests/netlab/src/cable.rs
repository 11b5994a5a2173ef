//! A cable between two namespaces that has a length: a TAP device at each end, and per direction a thread that takes
//! frames from one, keeps them for as long as they travel, and hands them to the other. Frames stay unsegmented (the
//! kernel's TSO and USO), which is what carries a gigabit at 100 ms on one core.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    io,
    os::fd::AsFd,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tun_rs::{DeviceBuilder, Layer, SyncDevice};

use crate::{
    segment::{Super, VIRTIO},
    topology::Port,
};

/// Frames the kernel keeps for us while we are busy.
const KERNEL_QUEUE: u32 = 10_000;
/// The largest frame with its virtio header, rounded up.
const FRAME: usize = 70_000;
/// Frames read before those that are due are sent.
const BATCH: usize = 64;
/// How often a thread looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(100);

/// A cable; dropping it ends its threads and removes both devices.
#[derive(Debug)]
pub struct Cable {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Cable {
    /// Makes the two devices, in the namespace of the caller, who may then move them. `names` are those of the host's
    /// end and the network's.
    ///
    /// # Errors
    /// If a device cannot be made.
    pub fn new(names: [&str; 2], port: &Port) -> io::Result<Self> {
        let [host, network] = names.map(tap);
        let (host, network) = (Arc::new(host?), Arc::new(network?));
        let stop = Arc::new(AtomicBool::new(false));
        let up = Way::new(port, port.up, port.seed);
        let down = Way::new(port, port.down, port.seed.wrapping_add(1));
        let ways = [(&host, &network, up), (&network, &host, down)];
        let start = |(from, to, way): (&Arc<SyncDevice>, &Arc<SyncDevice>, Way)| {
            let (from, to, stop) = (Arc::clone(from), Arc::clone(to), Arc::clone(&stop));
            std::thread::Builder::new().name("cable".to_owned()).spawn(move || carry(&from, &to, way, &stop))
        };
        let threads = ways.into_iter().map(start).collect::<io::Result<_>>()?;
        Ok(Self { stop, threads })
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join(); // a cable that panicked is down, too
        }
    }
}

fn tap(name: &str) -> io::Result<SyncDevice> {
    let device = DeviceBuilder::new().name(name).layer(Layer::L2).offload(true).tx_queue_len(KERNEL_QUEUE);
    let device = device.enable(false).build_sync()?;
    device.set_nonblocking(true)?;
    Ok(device)
}

fn carry(from: &SyncDevice, to: &SyncDevice, mut way: Way, stop: &AtomicBool) {
    let mut spare: Vec<Vec<u8>> = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let mut read = 0;
        while read < BATCH {
            let mut frame = spare.pop().unwrap_or_else(|| vec![0; FRAME]);
            frame.resize(FRAME, 0);
            match from.recv(&mut frame) {
                Ok(length) => {
                    frame.truncate(length);
                    way.enter(frame, Instant::now());
                    read += 1;
                }
                Err(_) => {
                    spare.push(frame); // nothing there, or the interface is down
                    break;
                }
            }
        }
        let now = Instant::now();
        while let Some(frame) = way.leave(now) {
            let _ = to.send(&frame); // an interface that is down loses frames
            if spare.len() < 2 * BATCH && frame.capacity() >= FRAME {
                spare.push(frame);
            }
        }
        if read < BATCH {
            wait(from, way.next().map_or(LOOK, |due| due.saturating_duration_since(now)).min(LOOK));
        }
    }
}

fn wait(device: &SyncDevice, limit: Duration) {
    let device = device.as_fd();
    let mut watched = [PollFd::new(&device, PollFlags::IN)];
    let limit = Timespec::try_from(limit).ok();
    if poll(&mut watched, limit.as_ref()).is_err() || watched[0].revents().contains(PollFlags::ERR) {
        std::thread::sleep(Duration::from_millis(1)); // an interface that is down polls as an error, at once
    }
}

/// One direction: what travels, and when it arrives.
#[derive(Debug)]
struct Way {
    delay: Duration,
    rate: Option<u64>,
    queue: Duration,
    loss: f64,
    reorder: f64,
    random: StdRng,
    /// When the wire is free again.
    free: Instant,
    number: u64,
    travelling: VecDeque<(Instant, Vec<u8>)>,
    held_back: BinaryHeap<Reverse<(Instant, u64, Vec<u8>)>>,
}

impl Way {
    fn new(port: &Port, rate: Option<u64>, seed: u64) -> Self {
        let queue = match (port.queue, rate) {
            (0, _) | (_, None) => (port.delay * 2).max(Duration::from_millis(50)),
            (bytes, Some(rate)) => on_wire(bytes, rate),
        };
        Self {
            delay: port.delay,
            rate,
            queue,
            loss: port.loss,
            reorder: port.reorder,
            random: StdRng::seed_from_u64(seed),
            free: Instant::now(),
            number: 0,
            travelling: VecDeque::new(),
            held_back: BinaryHeap::new(),
        }
    }

    /// Takes a frame, virtio header first; it may get lost.
    fn enter(&mut self, frame: Vec<u8>, now: Instant) {
        let parts = Super::parse(&frame);
        let bytes = parts.map_or(frame.len().saturating_sub(VIRTIO), |parts| parts.wire_bytes());
        if let Some(rate) = self.rate {
            let start = self.free.max(now);
            if start - now > self.queue {
                return; // the queue before the wire is full
            }
            self.free = start + on_wire(bytes as u64, rate);
        } else {
            self.free = now;
        }
        let arrival = self.free + self.delay;
        let segments = parts.map_or(1, |parts| parts.segments());
        let lost: Vec<usize> = if self.loss > 0.0 {
            (0..segments).filter(|_| self.random.random_bool(self.loss)).collect()
        } else {
            Vec::new()
        };
        if lost.is_empty() {
            return self.travel(arrival, frame);
        }
        let Some(parts) = parts else { return };
        let mut first = 0;
        for end in lost.into_iter().chain([segments]) {
            if end > first
                && let Some(rest) = parts.slice(&frame, first, end)
            {
                self.travel(arrival, rest);
            }
            first = end + 1;
        }
    }

    fn travel(&mut self, arrival: Instant, frame: Vec<u8>) {
        if self.reorder > 0.0 && self.random.random_bool(self.reorder) {
            self.number += 1;
            let late = arrival + (self.delay / 4).max(Duration::from_millis(1));
            self.held_back.push(Reverse((late, self.number, frame)));
        } else {
            self.travelling.push_back((arrival, frame));
        }
    }

    /// Returns when the next frame arrives.
    fn next(&self) -> Option<Instant> {
        let late = self.held_back.peek().map(|Reverse((due, ..))| *due);
        self.travelling.front().map(|(due, _)| *due).into_iter().chain(late).min()
    }

    /// Returns a frame that has arrived.
    fn leave(&mut self, now: Instant) -> Option<Vec<u8>> {
        if self.travelling.front().is_some_and(|(due, _)| *due <= now) {
            return self.travelling.pop_front().map(|(_, frame)| frame);
        }
        if self.held_back.peek().is_some_and(|Reverse((due, ..))| *due <= now) {
            return self.held_back.pop().map(|Reverse((.., frame))| frame);
        }
        None
    }
}

fn on_wire(bytes: u64, rate: u64) -> Duration {
    Duration::from_nanos(bytes.saturating_mul(8).saturating_mul(1_000_000_000) / rate.max(1))
}
