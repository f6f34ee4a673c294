package node

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"runtime/debug"

	"cairn/consensus"
	"cairn/mempool"
	"cairn/p2p"
	"cairn/store"
)

// Config is everything that an operator can choose. The zero value is not
// usable: start from Default. The command's flags, CAIRN_… variables and
// configuration file bind to these fields; the text behind each flag is in
// cmd/cairn, the meaning is here.
type Config struct {
	// Host is the address on which the node listens, a name or an IP address;
	// "0.0.0.0" or "::" is every address of the machine. Off loopback the calls
	// that change the node need its token. Default: 127.0.0.1.
	Host string

	// Port is the TCP port; 0 takes a free one. Default: 5000.
	Port uint16

	// Data is the node's directory: one node, one network. It is made when it
	// does not exist. Default: cairn/NETWORK-PORT in the user's data directory
	// (DefaultData).
	Data string

	// Network is a genesis file, or "dev" for the network that is built in.
	// Default: the network that the directory holds; dev where it holds none.
	Network string

	// Ephemeral keeps everything in memory and forgets it at the end; Data is
	// not used. Default: false.
	Ephemeral bool

	// Mine makes the node search for blocks all the time, on one thread.
	// Without it, it mines when it is asked to. Default: false.
	Mine bool

	// RewardTo is the account that is paid for the blocks mined here. Default:
	// the node's own address where accounts are names; nobody where they are
	// keys, and then this node does not mine.
	RewardTo string

	// Open lets anyone who can reach the node mine, register neighbours and
	// sync, without a token: for a classroom. Default: false.
	Open bool

	// AllowHosts are further names under which the node may be addressed, as a
	// proxy or a DNS name in front of it needs: a request for any other name is
	// refused, so that no web page can reach the node through a name of its own.
	// Loopback, Host, the machine's name and the address that a connection came
	// to are always allowed. Who names a host expects others to reach the node,
	// so that it asks for its token then as it does off loopback. Default: none.
	AllowHosts []string

	// AllowOrigins are the origins of web pages that may use the API from a browser,
	// such as https://shop.example. Default: none.
	AllowOrigins []string

	// RateLimit is how many requests a second each stranger may make, in bursts of
	// twice as many; 0 is no limit. Whoever is on this machine, or has a token, is
	// none. Default: 100.
	RateLimit int

	// P2P says whether the node takes part in the peer-to-peer network, in which
	// nodes find each other and keep in step by themselves: PeersOn, PeersOff, or
	// PeersAuto, which is on except on the network that is built in. Default:
	// PeersAuto.
	P2P string

	// P2PHost is the IP address on which peers reach the node; "0.0.0.0" or "::" is
	// every address of the machine. Default: 0.0.0.0.
	P2PHost string

	// P2PPort is their port, TCP and, for QUIC, UDP; 0 is 1000 above Port.
	// Default: 0.
	P2PPort uint16

	// Peers are the addresses of peers to stay connected to, multiaddrs with the
	// peer's ID. Default: those of the invite that the node joined with.
	Peers []string

	// MaxPeers is how many peers are connected at once. Default: 64.
	MaxPeers int

	// P2PKey is a file with the key of a closed network, in the form of libp2p's
	// swarm keys: who has another or none is no peer. Default: none, and the
	// network is open.
	P2PKey string

	// Invite is what the node joins with: a new directory is made for its network,
	// and remembers the rest of it. Its Genesis must be there. Default: none.
	Invite *p2p.Invite

	// Wallet is the directory of a wallet whose accounts the node signs for, when
	// asked with a token that may operate it; PassphraseFile holds its passphrase on
	// the first line. Default: none.
	Wallet         string
	PassphraseFile string

	// MinFeeRate is the least fee of a transfer that comes in, in base units for
	// 1,000 bytes; negative: 1,000 on a network with signatures, else 0. Blocks of
	// others may hold cheaper ones. Default: -1.
	MinFeeRate int64

	// PerAccount is how many transfers of one sender may wait; 0 is no limit,
	// negative: 1,000 on a network with signatures, else no limit. Default: -1.
	PerAccount int

	// MaxConnections is how many connections are served at once; more wait to
	// be accepted. Default: 1024.
	MaxConnections int

	// Pool bounds the transfers that wait for a block. Default: 500,000
	// transfers, 256 MiB.
	Pool mempool.Limits

	// CacheBytes is the memory for what was read from the database: three fifths
	// for accounts, the rest for blocks of its tables. Default: 160 MiB, enough for
	// 400,000 accounts.
	CacheBytes int64

	// Version is what the node says it is, on /readyz and in metrics.
	// Default: "devel".
	Version string

	// Log receives what happens. Default: discarded.
	Log *slog.Logger
}

// The values of Config.P2P.
const (
	PeersAuto = "auto"
	PeersOn   = "on"
	PeersOff  = "off"
)

// Default returns the configuration of a node that was told nothing.
func Default() Config {
	return Config{
		Host:           "127.0.0.1",
		Port:           5000,
		RateLimit:      100,
		P2P:            PeersAuto,
		P2PHost:        "0.0.0.0",
		MaxPeers:       64,
		MinFeeRate:     -1,
		PerAccount:     -1,
		MaxConnections: 1024,
		Pool:           mempool.Limits{Transfers: 500_000, Bytes: 256 << 20},
		CacheBytes:     160 << 20,
		Version:        "devel",
		Log:            slog.New(slog.DiscardHandler),
	}
}

// poolLimits returns the bounds of the pool on a network.
func (c *Config) poolLimits(rules *consensus.Rules) mempool.Limits {
	const rate, count = 1000, 1000 // where keys cost nothing, and a transfer takes room on every node for ever
	limits := c.Pool
	if c.MinFeeRate >= 0 {
		limits.MinFeeRate = uint64(c.MinFeeRate)
	} else if rules.Signatures {
		limits.MinFeeRate = rate
	}
	if c.PerAccount >= 0 {
		limits.PerAccount = c.PerAccount
	} else if rules.Signatures {
		limits.PerAccount = count
	}
	return limits
}

// StoreOptions says how the data is opened.
func (c *Config) StoreOptions() store.Options {
	return store.Options{CacheBytes: c.CacheBytes * 2 / 5, Log: c.Log}
}

// TreeLeaves is how many accounts are kept in memory.
func (c *Config) TreeLeaves() int {
	const leaf = 252 // bytes that an account takes there
	return int(c.CacheBytes * 3 / 5 / leaf)
}

// LimitMemory tells Go's garbage collector to let garbage grow only while the
// process stays below the settings above and what blocks take on their way in and
// to the disk, unless GOMEMLIMIT says something else, or the chain is in memory.
func (c *Config) LimitMemory() {
	const catchingUp = 256 << 20
	if os.Getenv("GOMEMLIMIT") == "" && !c.Ephemeral {
		debug.SetMemoryLimit(c.CacheBytes + c.Pool.Bytes + catchingUp)
	}
}

// check refuses what would not work, before anything is opened.
func (c *Config) check() error {
	if c.MaxConnections < 1 {
		return fmt.Errorf("max-connections is %d: with less than 1 nobody could reach the node", c.MaxConnections)
	}
	if c.Pool.Transfers < 1 {
		return fmt.Errorf("pool-transfers is %d: with less than 1 no transfer could wait for a block", c.Pool.Transfers)
	}
	if c.RateLimit < 0 {
		return fmt.Errorf("rate-limit is %d: it is a number of requests a second, or 0 for no limit", c.RateLimit)
	}
	if c.P2P != PeersAuto && c.P2P != PeersOn && c.P2P != PeersOff {
		return fmt.Errorf("p2p is %q: it is auto, on or off, as in --p2p=off", c.P2P)
	}
	if net.ParseIP(c.P2PHost) == nil {
		return fmt.Errorf("p2p-host is %q: it is an IP address of this machine, or 0.0.0.0 for all of them", c.P2PHost)
	}
	if c.MaxPeers < 1 {
		return fmt.Errorf("max-peers is %d: with less than 1 the node would be alone; --p2p=off is for that", c.MaxPeers)
	}
	if c.Invite != nil && c.Network != "" {
		return fmt.Errorf("the invite says which network it is for: leave out --network %s", c.Network)
	}
	if (c.Wallet == "") != (c.PassphraseFile == "") {
		return errors.New("a node signs from a wallet with both --signing-wallet DIR and --signing-passphrase-file FILE")
	}
	if c.Open && c.Wallet != "" {
		return errors.New("--open lets everyone make tokens, and with --signing-wallet a token spends: leave out one of them")
	}
	for _, o := range c.AllowOrigins {
		if u, err := url.Parse(o); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Scheme+"://"+u.Host != o {
			return fmt.Errorf("allow-origin is %q: an origin is like https://shop.example, without a path", o)
		}
	}
	if c.Ephemeral && c.Data != "" {
		return fmt.Errorf("an ephemeral node keeps nothing: leave out either --ephemeral or --data %s", c.Data)
	}
	return nil
}
