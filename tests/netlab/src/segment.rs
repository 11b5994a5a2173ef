//! Frames that the kernel hands over unsegmented (TSO, USO), and what is left of one when some of its segments get lost.
//! Pure. A frame comes with the virtio header that says how it is to be cut.

/// The length of the virtio header before each frame.
pub const VIRTIO: usize = 10;

const NEEDS_CSUM: u8 = 1;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;
const GSO_UDP_L4: u8 = 5;
const ECN: u8 = 0x80;
const FIN_PSH: u8 = 0x09;
const CWR: u8 = 0x80;

/// Where the parts of an unsegmented frame are; offsets count from its first byte after the virtio header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Super {
    tcp: bool,
    v6: bool,
    ip: usize,
    l4: usize,
    headers: usize,
    size: usize,
    payload: usize,
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

impl Super {
    /// Reads the headers of `packet`, virtio header first; nothing if it is a single segment.
    pub fn parse(packet: &[u8]) -> Option<Self> {
        let (virtio, frame) = (packet.get(..VIRTIO)?, packet.get(VIRTIO..)?);
        let native = |at: usize| usize::from(u16::from_ne_bytes([virtio[at], virtio[at + 1]]));
        let (size, l4) = (native(4), native(6));
        let (tcp, v6) = match virtio[1] & !ECN {
            GSO_TCPV4 => (true, false),
            GSO_TCPV6 => (true, true),
            GSO_UDP_L4 => (false, frame.get(14)? >> 4 == 6),
            _ => return None,
        };
        let headers = l4 + if tcp { usize::from(frame.get(l4 + 12)? >> 4) * 4 } else { 8 };
        let payload = frame.len().checked_sub(headers)?;
        let ip = 14;
        let room = if v6 { 40 } else { 20 };
        (size > 0 && payload > 0 && virtio[0] & NEEDS_CSUM != 0 && l4 >= ip + room).then_some(Self {
            tcp,
            v6,
            ip,
            l4,
            headers,
            size,
            payload,
        })
    }

    /// Returns how many segments it is on the wire.
    pub fn segments(&self) -> usize {
        self.payload.div_ceil(self.size)
    }

    /// Returns how many bytes it is on the wire, headers repeated.
    pub fn wire_bytes(&self) -> usize {
        self.payload + self.segments() * self.headers
    }

    /// Cuts the segments `first..end` out of `packet`, as a frame of its own.
    pub fn slice(&self, packet: &[u8], first: usize, end: usize) -> Option<Vec<u8>> {
        let last = end == self.segments();
        let stop = if last { self.payload } else { end * self.size };
        let data = packet.get(VIRTIO + self.headers + first * self.size..VIRTIO + self.headers + stop)?;
        let mut cut = Vec::with_capacity(VIRTIO + self.headers + data.len());
        cut.extend_from_slice(packet.get(..VIRTIO + self.headers)?);
        cut.extend_from_slice(data);
        if data.len() <= self.size {
            cut[1] = 0; // no longer to be segmented; its checksum is still to be filled in
            cut[4..6].fill(0);
        }
        let frame = &mut cut[VIRTIO..];
        self.fix_ip(frame, first)?;
        self.fix_l4(frame, first, last)?;
        Some(cut)
    }

    fn fix_ip(&self, frame: &mut [u8], first: usize) -> Option<()> {
        let length = frame.len() - self.ip;
        let header = frame.get_mut(self.ip..self.l4)?;
        if self.v6 {
            header[4..6].copy_from_slice(&u16::try_from(length - 40).ok()?.to_be_bytes());
            return Some(());
        }
        header[2..4].copy_from_slice(&u16::try_from(length).ok()?.to_be_bytes());
        let id = u16_at(header, 4)?.wrapping_add(u16::try_from(first).ok()?);
        header[4..6].copy_from_slice(&id.to_be_bytes());
        header[10..12].fill(0);
        let sum = !fold(sum(header));
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        Some(())
    }

    fn fix_l4(&self, frame: &mut [u8], first: usize, last: bool) -> Option<()> {
        let length = u16::try_from(frame.len() - self.l4).ok()?;
        let addresses = if self.v6 { self.ip + 8..self.ip + 40 } else { self.ip + 12..self.ip + 20 };
        let protocol = if self.tcp { 6 } else { 17 };
        let pseudo = fold(sum(frame.get(addresses)?) + protocol + u64::from(length));
        let header = frame.get_mut(self.l4..)?;
        if self.tcp {
            let sequence = u32::from_be_bytes(header.get(4..8)?.try_into().ok()?);
            let sequence = sequence.wrapping_add(u32::try_from(first * self.size).ok()?);
            header[4..8].copy_from_slice(&sequence.to_be_bytes());
            header[13] &= if last { !0 } else { !FIN_PSH } & if first == 0 { !0 } else { !CWR };
            header[16..18].copy_from_slice(&pseudo.to_be_bytes());
        } else {
            header[4..6].copy_from_slice(&length.to_be_bytes());
            header[6..8].copy_from_slice(&pseudo.to_be_bytes());
        }
        Some(())
    }
}

fn sum(bytes: &[u8]) -> u64 {
    let word = |pair: &[u8]| u64::from(pair[0]) << 8 | pair.get(1).copied().map_or(0, u64::from);
    bytes.chunks(2).map(word).sum()
}

fn fold(mut sum: u64) -> u16 {
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(payload: usize, size: u16) -> Vec<u8> {
        let mut packet = vec![NEEDS_CSUM, GSO_TCPV4, 54, 0];
        packet.extend(size.to_ne_bytes());
        packet.extend(34_u16.to_ne_bytes());
        packet.extend(16_u16.to_ne_bytes());
        let mut frame = vec![0; 14];
        frame.extend([0x45, 0, 0, 0, 0, 9, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        frame.extend([0, 80, 0, 81, 0, 0, 1, 0, 0, 0, 0, 0, 0x50, 0x19, 0, 0, 0, 0, 0, 0]);
        frame.extend((0..payload).map(|i| u8::try_from(i % 251).unwrap()));
        packet.extend(frame);
        packet
    }

    #[test]
    fn what_remains_of_a_frame_is_a_frame() {
        let packet = tcp(2500, 1000);
        let whole = Super::parse(&packet).unwrap();
        assert_eq!((whole.segments(), whole.wire_bytes()), (3, 2500 + 3 * 54));
        let tail = whole.slice(&packet, 1, 3).unwrap();
        let again = Super::parse(&tail).unwrap();
        assert_eq!((again.segments(), again.payload), (2, 1500));
        let frame = &tail[VIRTIO..];
        assert_eq!(u16_at(frame, 16), Some(1540)); // total length
        assert_eq!(u16_at(frame, 18), Some(10)); // identification
        assert_eq!(fold(sum(&frame[14..34])), 0xffff);
        assert_eq!(&frame[38..42], &(0x100_u32 + 1000).to_be_bytes());
        assert_eq!(frame[47], 0x19);
        assert_eq!(frame[54..], packet[VIRTIO + 54 + 1000..]);
        let head = whole.slice(&packet, 0, 1).unwrap();
        assert_eq!(Super::parse(&head), None);
        assert_eq!((head.len(), head[VIRTIO + 47]), (VIRTIO + 54 + 1000, 0x10));
    }

    #[test]
    fn nonsense_is_left_alone() {
        let packet = tcp(2500, 1000);
        for length in 0..VIRTIO + 54 {
            assert_eq!(Super::parse(&packet[..length]), None);
        }
        assert_eq!(Super::parse(&tcp(2500, 0)), None);
    }
}
