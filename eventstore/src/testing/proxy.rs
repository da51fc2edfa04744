//! A TCP proxy in front of the database, for what networks do: swallow answers, cut connections, refuse new ones.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// See the module. Ends when dropped.
pub struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
    accepting: tokio::task::JoinHandle<()>,
}

struct State {
    target: Mutex<SocketAddr>,
    swallow_answers: AtomicBool,
    refuse: AtomicBool,
    /// Connections made before the last cut are gone.
    generation: watch::Sender<u64>,
    swallowed_bytes: AtomicU64,
    /// How many connections were made, and how many of the first of them say nothing any more.
    made: AtomicU64,
    silent: AtomicU64,
}

impl Proxy {
    /// A proxy on a free port in front of `target`.
    #[allow(clippy::expect_used, clippy::missing_panics_doc)]
    pub async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let state = Arc::new(State {
            target: Mutex::new(target),
            swallow_answers: AtomicBool::new(false),
            refuse: AtomicBool::new(false),
            generation: watch::Sender::new(0),
            swallowed_bytes: AtomicU64::new(0),
            made: AtomicU64::new(0),
            silent: AtomicU64::new(0),
        });
        let accepting = tokio::spawn({
            let state = state.clone();
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    if !state.refuse.load(Ordering::SeqCst) {
                        tokio::spawn(forward(client, state.clone()));
                    }
                }
            }
        });
        Self {
            address,
            state,
            accepting,
        }
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on nothing that the server says arrives; what clients say still does.
    pub fn swallow_answers(&self, swallow: bool) {
        self.state.swallow_answers.store(swallow, Ordering::SeqCst);
    }

    /// The connections that there are stay open and say nothing any more, as when the other end lost its power. New
    /// ones work.
    pub fn silence(&self) {
        self.state
            .silent
            .store(self.state.made.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    /// How many bytes of answers were swallowed so far.
    pub fn swallowed_bytes(&self) -> u64 {
        self.state.swallowed_bytes.load(Ordering::SeqCst)
    }

    /// Refuses new connections, or takes them again.
    pub fn refuse(&self, refuse: bool) {
        self.state.refuse.store(refuse, Ordering::SeqCst);
    }

    /// New connections go to another server from now on, as when an address is taken over.
    pub fn lead_to(&self, target: SocketAddr) {
        *self
            .state
            .target
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = target;
    }

    /// Cuts all connections that there are.
    pub fn cut(&self) {
        self.state
            .generation
            .send_modify(|generation| *generation += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn forward(client: TcpStream, state: Arc<State>) {
    let number = state.made.fetch_add(1, Ordering::SeqCst);
    let mut cut = state.generation.subscribe();
    let target = *state.target.lock().unwrap_or_else(PoisonError::into_inner);
    let Ok(server) = TcpStream::connect(target).await else {
        return;
    };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let questions = async {
        tokio::io::copy(&mut from_client, &mut to_server)
            .await
            .map(|_| ())
    };
    let answers = async {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let count = from_server.read(&mut buffer).await?;
            if count == 0 {
                return Ok::<(), std::io::Error>(());
            }
            let silent = number < state.silent.load(Ordering::SeqCst);
            if silent || state.swallow_answers.load(Ordering::SeqCst) {
                state
                    .swallowed_bytes
                    .fetch_add(count as u64, Ordering::SeqCst);
            } else {
                to_client.write_all(&buffer[..count]).await?;
            }
        }
    };
    tokio::select! {
        _ = cut.changed() => {}
        _ = questions => {}
        _ = answers => {}
    }
}
