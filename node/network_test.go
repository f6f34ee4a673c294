package node

import (
	"encoding/hex"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cairn/consensus"
	"cairn/p2p"
)

const somePeer = "/ip4/127.0.0.1/tcp/1/p2p/12D3KooWSHj3RRbBjD15g6wekV8y3mm57Pobmps2g2WJm6F67Lay"

// joining is the configuration of a node that joins the network "harbour".
func joining(t *testing.T) Config {
	t.Helper()
	harbour := *consensus.Dev()
	harbour.Name = "harbour"
	rules, err := consensus.NewRules(harbour)
	if err != nil {
		t.Fatal(err)
	}
	cfg := config(t)
	cfg.P2P, cfg.P2PHost, cfg.P2PPort = PeersOn, "127.0.0.1", freePeerPort(t)
	cfg.Invite = &p2p.Invite{ChainID: rules.ChainID(), Genesis: rules.JSON(), Work: consensus.Work{5, 0, 0, 1}, Peers: []string{somePeer}}
	return cfg
}

func freePeerPort(t *testing.T) uint16 {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).AddrPort().Port()
}

// A node remembers the invite that it joined with, and takes another in its place.
func TestJoin(t *testing.T) {
	cfg := joining(t)
	remembered := func() joined {
		t.Helper()
		n, stop := running(t, cfg)
		if len(n.Info().Peers) != 2 || n.Info().Rules.Name != "harbour" {
			t.Errorf("%+v", n.Info())
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		j, err := readJoin(filepath.Join(cfg.Data, JoinFile))
		if err != nil {
			t.Fatal(err)
		}
		return j
	}
	want := joined{cfg.Invite.Work, cfg.Invite.Peers}
	if diff := cmp.Diff(want, remembered()); diff != "" {
		t.Errorf("at first (-want +got):\n%s", diff)
	}
	invite := *cfg.Invite
	cfg.Invite = nil
	if diff := cmp.Diff(want, remembered()); diff != "" {
		t.Errorf("later (-want +got):\n%s", diff)
	}
	invite.Work, invite.Peers = consensus.Work{}, nil
	cfg.Invite = &invite
	if got := remembered(); got.Work != (consensus.Work{}) || len(got.Peers) != 0 {
		t.Errorf("after another invite: %+v", got)
	}
	if files, err := filepath.Glob(filepath.Join(cfg.Data, "*.new")); err != nil || len(files) > 0 {
		t.Errorf("left behind: %v, %v", files, err)
	}

	dev := consensus.Dev()
	cfg.Invite = &p2p.Invite{ChainID: dev.ChainID(), Genesis: dev.JSON()}
	if _, err := New(cfg); !errors.Is(err, ErrOtherNetwork) || !strings.Contains(err.Error(), "the invite is to \"dev\"") {
		t.Errorf("an invite to another network: %v", err)
	}
	cfg.Invite = nil
	for _, text := range []string{"", "{}", `{"work":"-1"}`, `{"work":"x"}`, `{"work":"1` + strings.Repeat("0", 80) + `"}`} {
		if err := os.WriteFile(filepath.Join(cfg.Data, JoinFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), JoinFile) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// On the network that is built in a node has peers only when it is told to.
func TestPeersAuto(t *testing.T) {
	cfg := config(t)
	n, stop := running(t, cfg)
	if got := n.Info().Peers; got != nil || n.peers != nil {
		t.Errorf("peers at %v", got)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestPeerListeners(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	datagrams, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer datagrams.Close()
	cfg := Config{P2PHost: "127.0.0.1", P2PPort: freePeerPort(t)}
	if got, err := peerListeners(&cfg); err != nil || len(got) != 2 || !strings.HasPrefix(got[1], "/ip4/127.0.0.1/udp/") || !strings.HasSuffix(got[1], "/quic-v1") {
		t.Errorf("%v, %v", got, err)
	}
	cfg.P2PKey = "harbour.key"
	if got, err := peerListeners(&cfg); err != nil || len(got) != 1 || !strings.Contains(got[0], "/tcp/") {
		t.Errorf("in a closed network: %v, %v", got, err)
	}
	for name, c := range map[string]struct {
		cfg  Config
		word string
	}{
		"TCP in use":   {Config{P2PHost: "127.0.0.1", P2PPort: taken.Addr().(*net.TCPAddr).AddrPort().Port()}, "--p2p-port"},
		"UDP in use":   {Config{P2PHost: "127.0.0.1", P2PPort: datagrams.LocalAddr().(*net.UDPAddr).AddrPort().Port()}, "--p2p=off"},
		"no such port": {Config{P2PHost: "127.0.0.1", Port: 65000}, "66000"},
		"elsewhere":    {Config{P2PHost: "192.0.2.1", Port: 5000}, "--p2p-host"},
	} {
		if _, err := peerListeners(&c.cfg); err == nil || !strings.Contains(err.Error(), c.word) || errors.Is(err, ErrPortBusy) != strings.HasSuffix(name, "in use") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPeerKey(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	want := []byte("32 bytes that only members have.")
	for text, ok := range map[string]bool{
		"/key/swarm/psk/1.0.0/\n/base16/\n" + hex.EncodeToString(want) + "\n":     true,
		"/key/swarm/psk/1.0.0/\n/base16/\n" + hex.EncodeToString(want[1:]) + "\n": false,
		hex.EncodeToString(want): false,
		"":                       false,
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		key, err := LoadPeerKey(file)
		if (err == nil) != ok || ok && string(key) != string(want) {
			t.Errorf("%q: %q, %v", text, key, err)
		}
	}
	if key, err := LoadPeerKey(""); key != nil || err != nil {
		t.Errorf("no file: %q, %v", key, err)
	}
	if _, err := LoadPeerKey(file + ".gone"); err == nil || !strings.Contains(err.Error(), "cairn p2p-key") {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestPeerSettings(t *testing.T) {
	for word, change := range map[string]func(*Config){
		"auto, on or off": func(c *Config) { c.P2P = "true" },
		"p2p-host":        func(c *Config) { c.P2PHost = "localhost" },
		"max-peers":       func(c *Config) { c.MaxPeers = 0 },
		"--network dev":   func(c *Config) { c.Invite, c.Network = new(p2p.Invite), DevNetwork },
	} {
		cfg := config(t)
		change(&cfg)
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%s: %v", word, err)
		}
	}
}
