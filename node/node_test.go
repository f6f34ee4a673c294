package node

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"cairn/consensus"
	"cairn/store"
)

// config is that of a node that leaves nothing behind and disturbs nobody.
func config(t *testing.T) Config {
	cfg := Default()
	cfg.Port = 0
	cfg.Data = filepath.Join(t.TempDir(), "node")
	return cfg
}

// running is a node that runs until stop is called, which returns Run's error.
func running(t *testing.T, cfg Config) (n *Node, stop func() error) {
	t.Helper()
	n, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	t.Cleanup(cancel)
	return n, func() error {
		cancel()
		return <-done
	}
}

func get(t *testing.T, url string) int {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

func TestRunAndStop(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	cfg := config(t)
	for start := range 2 {
		n, stop := running(t, cfg)
		if got := n.Info(); got.Data != cfg.Data || got.Height != uint32(start) || len(got.RewardTo) != 32 || got.Token != "" {
			t.Errorf("start %d: %+v", start, got)
		}
		if code := get(t, n.Info().URL+"/mine"); code != http.StatusOK {
			t.Errorf("status %d", code)
		}
		http.DefaultClient.CloseIdleConnections()
		if err := stop(); err != nil {
			t.Errorf("start %d: %v", start, err)
		}
	}
}

func TestEphemeral(t *testing.T) {
	cfg := config(t)
	cfg.Data, cfg.Ephemeral, cfg.Host = "", true, "0.0.0.0"
	n, stop := running(t, cfg)
	if i := n.Info(); i.Data != "" || i.TokenFile != "" || len(i.Token) < 16 {
		t.Errorf("%+v", i)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// A port that is busy is found out before anything is touched on disk.
func TestBusyPort(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	cfg := config(t)
	cfg.Port = ln.Addr().(*net.TCPAddr).AddrPort().Port()
	_, err = New(cfg)
	if !errors.Is(err, ErrPortBusy) || !strings.Contains(err.Error(), "try -p ") {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(cfg.Data); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory was made: %v", err)
	}
}

func TestToken(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Config)
		token  bool
	}{
		{"loopback", func(*Config) {}, false},
		{"every address", func(c *Config) { c.Host = "0.0.0.0" }, true},
		{"every address, open", func(c *Config) { c.Host, c.Open = "0.0.0.0", true }, false},
		{"loopback behind a name", func(c *Config) { c.AllowHosts = []string{"node.example.org"} }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := config(t)
			c.change(&cfg)
			var tokens []string
			for range 2 {
				n, stop := running(t, cfg)
				info := n.Info()
				if err := stop(); err != nil {
					t.Fatal(err)
				}
				if c.token != (info.Token != "") || c.token != (info.TokenFile != "") {
					t.Fatalf("token %q in %q", info.Token, info.TokenFile)
				}
				tokens = append(tokens, info.Token)
			}
			if tokens[0] != tokens[1] {
				t.Error("the token is another one after a restart")
			}
			if stat, err := os.Stat(filepath.Join(cfg.Data, TokenFile)); c.token && (err != nil || stat.Mode().Perm() != 0o600 && os.PathSeparator == '/') {
				t.Errorf("the token's file: %v, %v", stat, err)
			}
		})
	}
}

func TestTokenFile(t *testing.T) {
	dir := t.TempDir()
	for text, ok := range map[string]bool{
		"a-token-of-my-own-making\n": true,
		"short\n":                    false,
		"":                           false,
		"two words that are long\n":  false,
	} {
		if err := os.WriteFile(filepath.Join(dir, TokenFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		token, _, err := loadToken(dir)
		if (err == nil) != ok || ok && token != strings.TrimSpace(text) {
			t.Errorf("%q: token %q, error %v", text, token, err)
		}
	}
}

func TestOtherNetwork(t *testing.T) {
	cfg := config(t)
	_, stop := running(t, cfg)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	other := *consensus.Dev()
	other.Name = "other"
	rules, err := consensus.NewRules(other)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Network = filepath.Join(t.TempDir(), "other.json")
	if err := os.WriteFile(cfg.Network, rules.JSON(), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(cfg); !errors.Is(err, ErrOtherNetwork) || !strings.Contains(err.Error(), "--data") {
		t.Errorf("error %v", err)
	}
	cfg.Network = DevNetwork
	if _, stop := running(t, cfg); stop() != nil {
		t.Error("its own network is refused")
	}
}

// A request that would take for ever is cancelled, so that the node stops.
func TestStopCancelsRequests(t *testing.T) {
	hard := *consensus.Dev()
	hard.Name, hard.Bits = "hard", 0x01010000
	rules, err := consensus.NewRules(hard)
	if err != nil {
		t.Fatal(err)
	}
	cfg := config(t)
	cfg.Network = filepath.Join(t.TempDir(), "hard.json")
	if err := os.WriteFile(cfg.Network, rules.JSON(), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.Mine = true
	n, stop := running(t, cfg)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if resp, err := http.Get(n.Info().URL + "/mine"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				t.Error("a block was found that cannot be")
			}
		}
	}()
	for get(t, n.Info().URL+"/readyz") != http.StatusOK {
		time.Sleep(time.Millisecond)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	<-ended
}

// A database that can no longer be written ends the node with what it said.
func TestStorageFailure(t *testing.T) {
	n, err := New(config(t))
	if err != nil {
		t.Fatal(err)
	}
	n.stopForStorage(store.ErrFailed)
	if err := n.Run(context.Background()); !errors.Is(err, store.ErrFailed) {
		t.Errorf("error %v", err)
	}
}

func TestDefaultData(t *testing.T) {
	base := t.TempDir()
	t.Setenv("XDG_DATA_HOME", base)
	t.Setenv("LocalAppData", base)
	t.Setenv("HOME", base)
	dir, err := DefaultData("harbour", 5001)
	if err != nil || !strings.HasPrefix(dir, base) || !strings.HasSuffix(dir, filepath.Join("cairn", "harbour-5001")) {
		t.Errorf("%s, %v", dir, err)
	}
}
