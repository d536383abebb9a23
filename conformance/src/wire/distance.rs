//! A target that is further away than it is: everything that passes the tap takes its time.
//!
//! It shows whether a verdict hangs on how near or how fast a target is; none may.

use super::app::Pipe;
use std::{
    collections::VecDeque,
    hash::{BuildHasher, RandomState},
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, ReadHalf, WriteHalf},
    time::{Instant, Sleep, sleep, sleep_until, timeout},
};

/// The most that is on its way in one direction, in bytes.
const ON_THE_WAY: usize = 64 * 1024;
/// The most that sets out at the same moment, in bytes.
const AT_ONCE: usize = 16 * 1024;
/// How long a target may take nothing before the way to it is given up.
const LONGEST: Duration = Duration::from_secs(60);

/// How far away a target is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Distance {
    /// How long everything takes at least, in each direction.
    pub latency: Duration,
    /// How much longer it takes at most; how much it is differs from one arrival to the next.
    pub jitter: Duration,
    /// How long after one byte the next one comes from the target. Zero: they come as they come.
    pub pause: Duration,
}

impl Distance {
    /// A pipe in which everything takes that long.
    pub(in crate::wire) fn through(self, pipe: Box<dyn Pipe>) -> Box<dyn Pipe> {
        if self == Self::default() {
            return pipe;
        }
        let (arriving, leaving) = tokio::io::split(pipe);
        let (outgoing, far) = tokio::io::duplex(ON_THE_WAY);
        tokio::spawn(carry(Clock::new(self), far, leaving));
        Box::new(Far {
            incoming: Incoming {
                pause: self.pause,
                clock: Clock::new(self),
                from: arriving,
                coming: VecDeque::new(),
                bytes: 0,
                is_over: false,
                timer: Box::pin(sleep(Duration::ZERO)),
            },
            outgoing,
        })
    }
}

/// When what sets out now arrives: never before what set out earlier.
struct Clock {
    distance: Distance,
    random: u64,
    last: Instant,
}

impl Clock {
    fn new(distance: Distance) -> Self {
        let random = RandomState::new().hash_one(0) | 1;
        Self { distance, random, last: Instant::now() }
    }

    fn arrival(&mut self) -> Instant {
        // Xorshift: nobody has to be unable to guess it.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let part = f64::from((self.random >> 32) as u32) / f64::from(u32::MAX);
        let at = Instant::now() + self.distance.latency + self.distance.jitter.mul_f64(part);
        self.last = self.last.max(at);
        self.last
    }
}

/// Carries what is written to the target; ends with the target, or when everything was carried behind whose writer is gone.
async fn carry(mut clock: Clock, mut from: DuplexStream, mut to: WriteHalf<Box<dyn Pipe>>) {
    let (mut under_way, mut bytes) = (VecDeque::<(Instant, Vec<u8>)>::new(), 0);
    let mut is_open = true;
    while is_open || !under_way.is_empty() {
        let next = under_way.front().map(|(at, _)| *at);
        let arrives = async {
            match next {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let mut piece = Vec::with_capacity(AT_ONCE);
        tokio::select! {
            () = arrives => {
                let Some((_, piece)) = under_way.pop_front() else { continue };
                bytes -= piece.len();
                let carried = async {
                    to.write_all(&piece).await?;
                    to.flush().await
                };
                if !matches!(timeout(LONGEST, carried).await, Ok(Ok(()))) {
                    // Whoever reads is told why, or has gone and left a target that takes nothing.
                    return;
                }
            }
            read = from.read_buf(&mut piece), if is_open && bytes < ON_THE_WAY => match read {
                Ok(1..) => {
                    bytes += piece.len();
                    under_way.push_back((clock.arrival(), piece));
                }
                Ok(0) | Err(_) => is_open = false,
            },
        }
    }
    sleep_until(clock.arrival()).await;
    // It may be gone already.
    let _ = to.shutdown().await;
}

/// What comes from the target.
struct Incoming {
    pause: Duration,
    clock: Clock,
    from: ReadHalf<Box<dyn Pipe>>,
    /// What is on its way, and when it arrives; an error, or nothing at all, is the end.
    coming: VecDeque<(Instant, io::Result<Vec<u8>>)>,
    bytes: usize,
    is_over: bool,
    timer: Pin<Box<Sleep>>,
}

impl Incoming {
    /// Takes note of what set out.
    fn set_out(&mut self, cx: &mut Context<'_>) {
        let mut room = [0; AT_ONCE];
        while !self.is_over && self.bytes < ON_THE_WAY {
            let mut piece = ReadBuf::new(&mut room);
            let read = match Pin::new(&mut self.from).poll_read(cx, &mut piece) {
                Poll::Pending => return,
                Poll::Ready(read) => read.map(|()| piece.filled().to_vec()),
            };
            self.is_over = read.as_ref().map_or(true, Vec::is_empty);
            self.bytes += read.as_ref().map_or(0, Vec::len);
            self.coming.push_back((self.clock.arrival(), read));
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            self.set_out(cx);
            let Some((at, _)) = self.coming.front() else {
                // Behind the end there is the end.
                return if self.is_over { Poll::Ready(Ok(())) } else { Poll::Pending };
            };
            if *at > Instant::now() {
                let at = *at;
                self.timer.as_mut().reset(at);
                ready!(self.timer.as_mut().poll(cx));
                continue;
            }
            let Some((_, arrived)) = self.coming.pop_front() else { continue };
            let mut arrived = arrived?;
            let one = if self.pause.is_zero() { usize::MAX } else { 1 };
            let rest = arrived.split_off(arrived.len().min(buf.remaining()).min(one));
            self.bytes -= arrived.len();
            buf.put_slice(&arrived);
            if !rest.is_empty() {
                self.coming.push_front((Instant::now() + self.pause, Ok(rest)));
            } else if !self.pause.is_zero()
                && let Some((at, _)) = self.coming.front_mut()
            {
                *at = (*at).max(Instant::now() + self.pause);
            }
            return Poll::Ready(Ok(()));
        }
    }
}

/// A connection to a target that is far away.
struct Far {
    incoming: Incoming,
    outgoing: DuplexStream,
}

impl AsyncRead for Far {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.incoming.poll(cx, buf)
    }
}

impl AsyncWrite for Far {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.outgoing).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.outgoing).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.outgoing).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn far(distance: Distance) -> (Box<dyn Pipe>, DuplexStream) {
        let (near, target) = tokio::io::duplex(ON_THE_WAY);
        (distance.through(Box::new(near)), target)
    }

    #[tokio::test]
    async fn everything_takes_its_time_and_keeps_its_order() {
        let (mut pipe, mut target) =
            far(Distance { latency: 20 * MS, jitter: 20 * MS, pause: Duration::ZERO });
        let since = Instant::now();
        let mut got = [0; 3];
        for text in [b"one", b"two", b"six"] {
            pipe.write_all(text).await.expect("there is room");
        }
        for text in [b"one", b"two", b"six"] {
            target.read_exact(&mut got).await.expect("it comes");
            assert_eq!(&got, text);
        }
        let there = since.elapsed();
        assert!(there >= 20 * MS, "{there:?}");
        target.write_all(b"ten").await.expect("there is room");
        pipe.read_exact(&mut got).await.expect("it comes");
        let back = since.elapsed() - there;
        assert!(back >= 20 * MS, "{back:?}");
        // What was said before the end is heard before it.
        pipe.write_all(b"bye").await.expect("there is room");
        drop(pipe);
        let mut all = Vec::new();
        target.read_to_end(&mut all).await.expect("it ends");
        assert_eq!(all, b"bye");
    }

    #[tokio::test]
    async fn what_comes_in_pieces_comes_whole() {
        let (mut pipe, mut target) = far(Distance { pause: 10 * MS, ..Distance::default() });
        let since = Instant::now();
        target.write_all(&[7; 50]).await.expect("there is room");
        drop(target);
        let mut all = Vec::new();
        pipe.read_to_end(&mut all).await.expect("it ends");
        assert_eq!(all, [7; 50]);
        let took = since.elapsed();
        assert!(took >= 490 * MS, "{took:?}");
    }
}
