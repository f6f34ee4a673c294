package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"cairn/api/client"
	"cairn/chain"
	"cairn/consensus"
	"cairn/p2p"
	"cairn/store"
	"cairn/syncer"
)

// withPeers are the settings of a node on the peer-to-peer network, on loopback and on
// a port that was free a moment ago.
func withPeers() ([]string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer ln.Close()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	return []string{"--p2p", "--p2p-host", "127.0.0.1", "--p2p-port", port}, err
}

// peers: an idle node with as many peers as it may have, and a chain that comes from
// one over the streams of the network.
func (r *run) peers() error {
	if err := r.idle(); err != nil {
		return err
	}
	return r.peerSync()
}

// idle measures a node whose peers, in this process, have nothing to say.
func (r *run) idle() error {
	settings, err := withPeers()
	if err != nil {
		return err
	}
	return r.withNode(func(p *process) error {
		c, err := client.New(p.url, client.Options{})
		if err != nil {
			return err
		}
		self, err := c.Peers(r.ctx)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithCancel(r.ctx)
		ended := make(chan error, r.manyPeers)
		for range r.manyPeers {
			go func() { ended <- idlePeer(ctx, self.Addresses[0]) }()
		}
		defer func() {
			cancel()
			for range r.manyPeers {
				<-ended
			}
		}()
		for connected := 0; connected < r.manyPeers; {
			r.progress("peers that connect", connected, r.manyPeers)
			select {
			case err := <-ended:
				ended <- err
				return fmt.Errorf("a peer ended: %w", err)
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
				return ctx.Err()
			}
			list, err := c.Peers(ctx)
			if err != nil {
				return err
			}
			connected = len(list.Peers)
		}
		wait := func(d time.Duration) error {
			select {
			case <-time.After(d):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if err := wait(10 * r.load); err != nil { // meshes form
			return err
		}
		before, known := p.processor()
		start := time.Now()
		if err := wait(15 * r.load); err != nil {
			return err
		}
		after, _ := p.processor()
		if known {
			r.plain("peers", fmt.Sprintf("memory of an idle node with %d peers", r.manyPeers), "MiB", float64(p.memory())/(1<<20))
			r.plain("peers", "processor time of the same", "% of a core", 100*(after-before).Seconds()/time.Since(start).Seconds())
		}
		return nil
	}, settings...)
}

// idlePeer is a node in memory that connects to another, until ctx ends.
func idlePeer(ctx context.Context, address string) error {
	s, err := store.Create("data", consensus.Dev(), store.Options{FS: vfs.NewMem()})
	if err != nil {
		return err
	}
	defer s.Close()
	m, err := chain.New(chain.Config{Store: s})
	if err != nil {
		return err
	}
	defer m.Close()
	syncs, err := syncer.New(syncer.Config{Chain: m, Store: s})
	if err != nil {
		return err
	}
	n, err := p2p.New(p2p.Config{Chain: m, Store: s, Syncer: syncs, Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Peers: []string{address}})
	if err != nil {
		return err
	}
	return errors.Join(n.Run(ctx), n.Close())
}

// processor returns the processor time that the process has had; false where the
// system does not tell.
func (p *process) processor() (time.Duration, bool) {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid), "stat"))
	if err != nil {
		return 0, false
	}
	const tick = 10 * time.Millisecond
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	user, _ := strconv.Atoi(fields[11]) // fields 14 and 15 of proc_pid_stat(5)
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * tick, true
}

// height asks a node for the height of its chain, in the way that costs it least.
func (p *process) height(ctx context.Context) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/sync/1/tip", nil)
	if err != nil {
		return 0, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	var claim [116]byte // chain ID 32, instance 16, height u32, …
	_, err = io.ReadFull(answer.Body, claim[:])
	return int(binary.LittleEndian.Uint32(claim[48:])), err
}

// peerSync fetches two chains over a peer's streams: small blocks, as one that was off
// for a month finds them, and full ones whose transfers are signed.
func (r *run) peerSync() error {
	dir, err := r.tenEach()
	if err != nil {
		return err
	}
	if err := r.catchUp(fmt.Sprintf("%d blocks of 10", r.blocks), dir, consensus.Dev()); err != nil {
		return err
	}
	dir, rules, blocks, err := r.crowd("signed", r.fullBlocks)
	if err != nil {
		return err
	}
	err = withChain(dir, rules, func(_ *store.Store, m *chain.Manager) error { return m.AddBlocks(r.ctx, blocks) })
	if err != nil {
		return err
	}
	return r.catchUp(fmt.Sprintf("full signed blocks, %d accounts", r.accounts), dir, rules)
}

// catchUp compares a node that fetches a peer's chain with `cairn import` of the same,
// by turns. Each process has one processor, so that the peer's work is not counted.
func (r *run) catchUp(what, dir string, rules *consensus.Rules) error {
	file, err := r.export(dir)
	if err != nil {
		return err
	}
	r.env = []string{"GOMAXPROCS=1"}
	defer func() { r.env = nil }()
	settings, err := withPeers()
	if err != nil {
		return err
	}
	peer, err := r.launch(append([]string{"--data", dir}, settings...)...)
	if err != nil {
		return err
	}
	defer peer.stop()
	c, err := client.New(peer.url, client.Options{})
	if err != nil {
		return err
	}
	self, err := c.Peers(r.ctx)
	if err != nil {
		return err
	}
	goal, err := peer.height(r.ctx)
	if err != nil {
		return err
	}
	var imports []time.Duration
	elapsed, err := r.median("chain from a peer: "+what, func() (time.Duration, error) {
		alone, err := r.importAlone(file, rules)
		if err != nil {
			return 0, err
		}
		imports = append(imports, alone)
		return r.fetchFrom(self.Addresses[0], goal, rules)
	})
	if err != nil {
		return err
	}
	r.span("peers", "a peer's chain, from connecting on: "+what, elapsed, "cairn import of the same", summary(imports).p50)
	return nil
}

// importAlone is how long the command takes that imports a file into a new directory.
func (r *run) importAlone(file string, rules *consensus.Rules) (time.Duration, error) {
	dir, err := r.newDirectory(rules)
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	cmd, err := r.command("import", file, "--data", dir)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("%w: %s", err, out)
	}
	return time.Since(start), nil
}

// fetchFrom is how long a new node takes until it has the chain of a peer.
func (r *run) fetchFrom(peer string, goal int, rules *consensus.Rules) (time.Duration, error) {
	dir, err := r.newDirectory(rules)
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	settings, err := withPeers()
	if err != nil {
		return 0, err
	}
	p, err := r.launch(append([]string{"--data", dir}, settings...)...)
	if err != nil {
		return 0, err
	}
	defer p.stop()
	newcomer, err := client.New(p.url, client.Options{})
	if err != nil {
		return 0, err
	}
	start := time.Now()
	if err := newcomer.AddPeer(r.ctx, peer); err != nil {
		return 0, err
	}
	for {
		height, err := p.height(r.ctx)
		if err != nil || height >= goal {
			return time.Since(start), err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// newDirectory makes a data directory that holds nothing but genesis.
func (r *run) newDirectory(rules *consensus.Rules) (dir string, err error) {
	dir = filepath.Join(r.dir, "newcomer")
	return dir, withChain(dir, rules, func(*store.Store, *chain.Manager) error { return nil })
}
