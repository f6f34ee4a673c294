package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cairn/api/client"
	"cairn/internal/testutil"
)

// rounds is how often TestKill kills the node.
const rounds = 8

// TestKill kills the real binary again and again while it mines, takes transfers
// and follows another node's chain, whose blocks replace its own. Opened again
// after each kill the data must verify, and in the end every transfer that was
// answered is in the chain exactly once.
func TestKill(t *testing.T) {
	rival := testutil.Start(t, binary)
	dir, home := t.TempDir(), t.TempDir()
	port, err := testutil.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	v := &victim{t: t, rival: rival.Client(t)}
	for round := range rounds {
		node, err := testutil.Launch(binary, testutil.Home(home), home, port, "--data", dir)
		if err != nil {
			t.Fatal(err)
		}
		v.client = node.Client(t)
		if _, err := v.client.RegisterNode(context.Background(), rival.URL); err != nil {
			t.Fatal(err)
		}
		v.checkBlocks()
		// In every other round nothing replaces the node's own blocks, so that each
		// one that it answered must be there again.
		v.load(node, round%2 == 1)
		mustRun(t, "export", "--data", dir) // opens the directory, which clears away what was cut off
		mustRun(t, "verify", "--data", dir)
	}
	node, err := testutil.Launch(binary, testutil.Home(home), home, port, "--data", dir)
	if err != nil {
		t.Fatal(err)
	}
	defer node.Kill()
	v.client = node.Client(t)
	v.checkBlocks()
	v.checkTransfers()
	if code := node.Stop(); code != 0 {
		t.Errorf("exit code %d\n%s", code, node.Log())
	}
}

func mustRun(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.Command(binary, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if out, err := cmd.Output(); err != nil {
		t.Fatalf("cairn %s: %v\n%s%s", args[0], err, stderr.Bytes(), out)
	}
}

// victim is the node that is killed, and what it has answered.
type victim struct {
	t      *testing.T
	client *client.Client
	rival  *client.Client
	sent   int // how many transfers were tried, answered or not

	mu       sync.Mutex
	answered []client.NewTransaction
	first    map[string]uint32 // block_index of the answer, by sender
	replaced int               // how often the rival's chain was taken
	mined    []client.Block    // answered since the last time that another chain could replace them
}

// load works on the node until it is killed.
func (v *victim) load(node *testutil.Process, rivalry bool) {
	v.mu.Lock()
	v.mined = nil
	v.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var g sync.WaitGroup
	g.Go(func() { v.transfer(ctx) })
	g.Go(func() { v.transfer(ctx) })
	g.Go(func() { v.mine(ctx, !rivalry) })
	if rivalry {
		g.Go(func() { v.overtake(ctx) })
	}
	v.progress(rivalry)
	time.Sleep(rand.N(300 * time.Millisecond))
	node.Kill()
	cancel()
	g.Wait()
}

// progress waits until this round has done some of everything.
func (v *victim) progress(rivalry bool) {
	v.mu.Lock()
	answered, replaced := len(v.answered)+20, v.replaced
	v.mu.Unlock()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
		v.mu.Lock()
		enough := len(v.answered) >= answered && (rivalry && v.replaced > replaced || !rivalry && len(v.mined) > 0)
		v.mu.Unlock()
		if enough {
			return
		}
	}
	v.t.Error("the node did nothing for a minute")
}

// transfer submits transfers, each from a sender of its own, until one fails.
func (v *victim) transfer(ctx context.Context) {
	for {
		v.mu.Lock()
		v.sent++
		salt := uint64(v.sent)
		v.mu.Unlock()
		t := client.NewTransaction{Sender: fmt.Sprintf("sender %d", salt), Recipient: "bob", Amount: "3", Expiry: 900_000, Salt: &salt}
		answer, err := v.client.CreateTransaction(ctx, t)
		if err != nil {
			v.mustBeKilled(err)
			return
		}
		v.mu.Lock()
		if v.first == nil {
			v.first = make(map[string]uint32)
		}
		v.answered = append(v.answered, t)
		v.first[t.Sender] = answer.BlockIndex
		v.mu.Unlock()
	}
}

// mine mines until a call fails, and notes the blocks when they must stay. When
// they need not, it takes its time, for a rival to be faster.
func (v *victim) mine(ctx context.Context, note bool) {
	for {
		if !note {
			time.Sleep(10 * time.Millisecond)
		}
		answer, err := v.client.Mine(ctx)
		if err != nil {
			v.mustBeKilled(err)
			return
		}
		if note {
			v.mu.Lock()
			v.mined = append(v.mined, answer.BlockData)
			v.mu.Unlock()
		}
	}
}

// overtake makes the rival's chain the heavier one, and the node take it.
func (v *victim) overtake(ctx context.Context) {
	for {
		mine, err := v.client.Status(ctx)
		if err != nil {
			v.mustBeKilled(err)
			return
		}
		for {
			rival, err := v.rival.Status(ctx)
			if err != nil || ctx.Err() != nil {
				return
			}
			if rival.Height > mine.Height+5 {
				break
			}
			if _, err := v.rival.Mine(ctx); err != nil {
				return
			}
		}
		answer, err := v.client.SyncChain(ctx, nil)
		if err != nil {
			v.mustBeKilled(err)
			return
		}
		if answer.Message == "Chain was replaced" {
			v.mu.Lock()
			v.replaced++
			v.mu.Unlock()
		}
	}
}

// mustBeKilled fails the test when a call failed for another reason than that the
// node is gone: a refusal is one.
func (v *victim) mustBeKilled(err error) {
	if refusal := (*client.Problem)(nil); errors.As(err, &refusal) {
		v.t.Errorf("refused: %v", err)
	}
}

// checkBlocks looks for the blocks that the node had answered before it was
// killed.
func (v *victim) checkBlocks() {
	v.t.Helper()
	for _, want := range v.mined {
		found := false
		for got, err := range v.client.Chain(context.Background(), want.Index, 1) {
			if err != nil {
				v.t.Fatal(err)
			}
			found = got.PreviousHash == want.PreviousHash && got.Proof == want.Proof && got.Timestamp == want.Timestamp &&
				len(got.Transactions) == len(want.Transactions)
		}
		if !found {
			v.t.Errorf("block %d was answered and is lost", want.Index)
		}
	}
}

// checkTransfers mines what waits and then looks for everything that was ever
// answered; the same transfer once more must give its first answer.
func (v *victim) checkTransfers() {
	ctx := context.Background()
	for {
		status, err := v.client.Status(ctx)
		if err != nil {
			v.t.Fatal(err)
		}
		if status.Pool.Transfers == 0 {
			break
		}
		if _, err := v.client.Mine(ctx); err != nil {
			v.t.Fatal(err)
		}
	}
	seen := make(map[string]int)
	for block, err := range v.client.Chain(ctx, 0, -1) {
		if err != nil {
			v.t.Fatal(err)
		}
		for _, tx := range block.Transactions {
			seen[tx.Sender]++
		}
	}
	v.t.Logf("%d transfers were answered, the chain was replaced %d times", len(v.answered), v.replaced)
	for _, tx := range v.answered {
		if n := seen[tx.Sender]; n != 1 {
			v.t.Errorf("the transfer of %s is in the chain %d times", tx.Sender, n)
		}
	}
	for _, tx := range v.answered[:min(len(v.answered), 200)] {
		again, err := v.client.CreateTransaction(ctx, tx)
		if err != nil || again.BlockIndex != v.first[tx.Sender] {
			v.t.Errorf("%s again: block_index %d and %v, at first %d", tx.Sender, again.BlockIndex, err, v.first[tx.Sender])
		}
	}
}

// TestTerminate stops a node, as a service manager does, while it searches for
// a block that it will never find, and while a client has begun a request.
func TestTerminate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no SIGTERM")
	}
	genesis := t.TempDir() + "/hard.json"
	mustRun(t, "genesis", "new", "hard", "-o", genesis, "--signatures=false", "--bits", "01010000")
	node := testutil.Start(t, binary, "--network", genesis, "--mine", "--data", t.TempDir()+"/node")
	searching := make(chan error)
	go func() {
		_, err := node.Client(t).Mine(context.Background())
		searching <- err
	}()
	if _, err := node.Client(t).CreateTransaction(context.Background(), client.NewTransaction{Sender: "a", Recipient: "b", Amount: "0"}); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if code := node.Stop(); code != 0 {
		t.Errorf("exit code %d\n%s", code, node.Log())
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v, and a service manager's patience is 10 s", took)
	}
	if err := <-searching; err == nil {
		t.Error("a block was found that cannot be")
	}
}

// TestFullDisk lets the node run on a file system that fills up. It must end by
// itself and say why; once there is room again the data must be sound, and a node
// on it must have everything that was answered.
func TestFullDisk(t *testing.T) {
	if exec.Command("unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", t.TempDir()).Run() != nil {
		t.Skip("may not mount a small file system here")
	}
	node := testutil.Start(t, fillingDisk(t))
	var g sync.WaitGroup
	var answered atomic.Int64
	for worker := range 8 {
		g.Go(func() {
			tx := client.NewTransaction{Recipient: "bob", Amount: "1", Memo: strings.Repeat("m", 255)}
			for i := 0; ; i++ {
				tx.Sender = fmt.Sprintf("sender %d of %d", i, worker)
				if _, err := node.Client(t).CreateTransaction(context.Background(), tx); err != nil {
					return
				}
				answered.Add(1)
			}
		})
	}
	g.Wait()
	for strings.Count(node.Log(), "Node is up") < 2 {
		if node.Ended() {
			t.Fatalf("exit code %d\n%s", node.Wait(), node.Log())
		}
		time.Sleep(10 * time.Millisecond)
	}
	if !strings.Contains(node.Log(), "is full") {
		t.Errorf("the node does not say why it ended:\n%s", node.Log())
	}
	status, err := node.Client(t).Status(context.Background())
	if err != nil || int64(status.Pool.Transfers) < answered.Load() || answered.Load() == 0 {
		t.Errorf("%d transfers were answered, %d are there (%v)", answered.Load(), status.Pool.Transfers, err)
	}
}

// fillingDisk returns a command that runs a node on a small file system, which
// only the command and what it starts see. When the node ends, which it must with
// exit code 1, there is more room, and everything must be sound once a command
// has opened it; then a node runs on it again.
func fillingDisk(t *testing.T) string {
	dir := t.TempDir()
	script := filepath.Join(dir, "cairn")
	text := fmt.Sprintf(`#!/bin/sh
exec unshare -rmpf --kill-child sh -c '
	mount -t tmpfs -o size=8m tmpfs %[1]s/disk || exit 99
	%[2]s --data %[1]s/disk/node "$@"
	[ $? = 1 ] || exit 98
	mount -o remount,size=200m %[1]s/disk || exit 97
	%[2]s export - --data %[1]s/disk/node >%[1]s/exported || exit 96
	%[2]s verify --data %[1]s/disk/node || exit 95
	%[2]s --data %[1]s/disk/node "$@"' node "$@"
`, dir, binary)
	if err := errors.Join(os.Mkdir(dir+"/disk", 0o700), os.WriteFile(script, []byte(text), 0o700)); err != nil {
		t.Fatal(err)
	}
	return script
}
