package p2p

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/net/gostream"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"

	"cairn/chain/chaintest"
	"cairn/consensus"
	"cairn/types"
)

// journal is a log that can be searched.
type journal struct {
	mu    sync.Mutex
	lines bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if os.Getenv("P2P_LOG") != "" {
		os.Stderr.Write(b)
	}
	return j.lines.Write(b)
}

// count returns in how many lines all the words are.
func (j *journal) count(words ...string) (count int) {
	j.mu.Lock()
	defer j.mu.Unlock()
lines:
	for line := range strings.Lines(j.lines.String()) {
		for _, word := range words {
			if !strings.Contains(line, word) {
				continue lines
			}
		}
		count++
	}
	return count
}

// honest is nodes that keep the rules, with their logs and what they may not do to
// each other: see alive.
type honest struct {
	*chaintest.Builder
	t     *testing.T
	nodes []*testNode
	logs  []*journal
	tip   string // the name of the block that all have
	count int    // blocks of alive
}

// besieged starts so many nodes of one chain of ten blocks, each connected to the
// first. An adversary comes later.
func besieged(t *testing.T, count int, rules *consensus.Rules, change func(*Config)) *honest {
	t.Helper()
	h := &honest{Builder: chaintest.New(rules), t: t, tip: "h10"}
	blocks := h.Chain("h", chaintest.Genesis, 10, h.spec())
	for i := range count {
		log := new(journal)
		n := startNode(t, "node"+string(rune('a'+i)), rules, nil, func(c *Config) {
			c.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})).With("node", i)
			if change != nil {
				change(c)
			}
		})
		h.nodes, h.logs = append(h.nodes, n), append(h.logs, log)
		if i == 0 {
			h.give(0, blocks...)
		} else {
			n.join(h.nodes[0])
		}
	}
	agree(t, h.nodes...)
	h.settle()
	return h
}

// settle lets gossip choose whom it passes messages on to, which it does once a second:
// what comes before that goes no further.
func (h *honest) settle() { time.Sleep(2 * time.Second) }

// spec is that of an ordinary block, whose miner has a key where there are such.
func (h *honest) spec() chaintest.Spec {
	if h.Rules.Signatures {
		return chaintest.Spec{Miner: account(1)}
	}
	return chaintest.Spec{}
}

// give has a node come by blocks as if they had been found there.
func (h *honest) give(node int, blocks ...*types.Block) {
	h.t.Helper()
	if err := h.nodes[node].chain.AddBlocks(context.Background(), blocks); err != nil {
		h.t.Fatal(err)
	}
}

// next makes a block on the tip, which it is from now on.
func (h *honest) next() *types.Block {
	h.count++
	name := "more" + string(rune('0'+h.count/10)) + string(rune('0'+h.count%10))
	b := h.Add(name, h.tip, h.spec())
	h.tip = name
	return b
}

// alive asks that the honest nodes still do what they are there for: a block found at
// any of them comes to all, and none of them has anything against another.
func (h *honest) alive() {
	h.t.Helper()
	for i := range h.nodes {
		h.give(i, h.next())
		agree(h.t, append([]*testNode{h.nodes[i]}, h.nodes...)...)
	}
	if got := h.nodes[0].chain.Tip().Hash; got != h.Hash(h.tip) {
		h.t.Errorf("the tip is %s, not %s", h.Name(got), h.tip)
	}
	for i, n := range h.nodes {
		for j, other := range h.nodes {
			if h.blamed(i, other.host.ID()) > 0 {
				h.t.Errorf("node %d blames node %d, who did nothing", i, j)
			}
		}
		for _, p := range n.Peers() {
			if p.Score < 0 && h.isNode(p.ID) {
				h.t.Errorf("at node %d an honest one has score %v", i, p.Score)
			}
		}
	}
}

func (h *honest) isNode(id string) bool {
	for _, n := range h.nodes {
		if n.Self().ID == id {
			return true
		}
	}
	return false
}

// blamed counts the faults of a peer in a node's log.
func (h *honest) blamed(node int, id peer.ID, words ...string) int {
	return h.logs[node].count(append([]string{`msg="peer is at fault"`, "peer=" + id.String()}, words...)...)
}

// wantBan waits until the first node has banned a peer, and said so and why.
func (h *honest) wantBan(id peer.ID, reason string) {
	h.t.Helper()
	eventually(h.t, "a ban for "+reason, func() bool {
		for _, ban := range h.nodes[0].Bans() {
			if ban.ID == id.String() {
				return h.logs[0].count(`msg="peer is banned"`, "peer="+ban.ID, reason) > 0 && strings.Contains(ban.Reason, reason)
			}
		}
		return false
	})
	eventually(h.t, "the banned peer is gone", func() bool { return h.nodes[0].host.Network().Connectedness(id) != network.Connected })
}

// adversary is a peer that does what it likes: a bare host on the same topics. Its
// answers to questions may be replaced before it connects; by default it hangs on to
// each question and says nothing, but for hello.
type adversary struct {
	t      *testing.T
	host   host.Host
	said   hello
	limits int // of a block
	ps     *pubsub.PubSub
	topics map[string]*pubsub.Topic

	mu    sync.Mutex
	heard map[protocol.ID]int // questions by protocol
	got   [][]byte            // gossip
}

// newAdversary makes one that claims to have the first node's chain.
func (h *honest) newAdversary(t *testing.T) *adversary {
	t.Helper()
	bare, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.NoTransports, libp2p.Transport(tcp.NewTCPTransport),
		libp2p.ResourceManager(&network.NullResourceManager{}), libp2p.DisableRelay(), libp2p.DisableMetrics())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bare.Close() })
	v := &adversary{t: t, host: bare, said: h.nodes[0].hello(), limits: int(h.Rules.MaxBlockSize), topics: make(map[string]*pubsub.Topic), heard: make(map[protocol.ID]int)}
	v.answer(helloProtocol, maxHelloSize, func([]byte) []byte { return v.said.append(nil) })
	for _, id := range []protocol.ID{wantsProtocol, poolProtocol, addressProtocol} {
		v.answer(id, 1<<20, nil)
	}
	return v
}

// answer has a question answered by what do returns; nil: not at all.
func (v *adversary) answer(id protocol.ID, most int, do func(question []byte) []byte) {
	v.host.SetStreamHandler(id, func(s network.Stream) {
		question, err := readFrame(s, most)
		v.mu.Lock()
		v.heard[id]++
		v.mu.Unlock()
		if err != nil || do == nil {
			return // the stream stays open
		}
		_ = writeFrame(s, do(question))
		_ = s.Close()
	})
}

// serveHTTP answers what is asked of its chain.
func (v *adversary) serveHTTP(h http.HandlerFunc) {
	listener, err := gostream.Listen(v.host, httpProtocol)
	if err != nil {
		v.t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v.mu.Lock()
		v.heard[protocol.ID(r.URL.Path)]++
		v.mu.Unlock()
		w.Header().Set("Content-Type", "application/octet-stream")
		h(w, r)
	})}
	go server.Serve(listener)
	v.t.Cleanup(func() { server.Close() })
}

// asked is how many questions of a protocol, or at a path, it has had.
func (v *adversary) asked(id protocol.ID) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.heard[id]
}

// attach connects without a word.
func (v *adversary) attach(n *testNode) {
	v.t.Helper()
	if err := v.host.Connect(context.Background(), peer.AddrInfo{ID: n.host.ID(), Addrs: n.host.Addrs()}); err != nil {
		v.t.Fatal(err)
	}
}

// greet says hello, and says whether it was answered.
func (v *adversary) greet(n *testNode) bool {
	_, err := v.ask(n, helloProtocol, v.said.append(nil))
	return err == nil
}

// join connects, says hello, and takes part in gossip.
func (v *adversary) join(n *testNode) {
	v.t.Helper()
	v.attach(n)
	if !v.greet(n) {
		v.t.Fatal("no answer to hello")
	}
	v.gossip(n)
}

// gossip takes part in the topics of a node.
func (v *adversary) gossip(n *testNode) {
	v.t.Helper()
	if v.ps == nil {
		var err error
		v.ps, err = pubsub.NewGossipSub(context.Background(), v.host,
			pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign),
			pubsub.WithNoAuthor(),
			pubsub.WithMessageIdFn(func(m *pb.Message) string { id := types.Sum(m.Data); return string(id[:]) }),
			pubsub.WithMaxMessageSize(64<<20),
			pubsub.WithPeerOutboundQueueSize(4096),
			pubsub.WithFloodPublish(true),
			pubsub.WithLogger(slog.New(slog.DiscardHandler)))
		if err != nil {
			v.t.Fatal(err)
		}
		for _, name := range []string{"blocks", "transfers"} {
			v.subscribe(n.topic(name))
		}
	}
	for _, name := range []string{"blocks", "transfers"} {
		eventually(v.t, "the node is on the topic", func() bool {
			for _, id := range v.topics[n.topic(name)].ListPeers() {
				if id == n.host.ID() {
					return true
				}
			}
			return false
		})
	}
}

func (v *adversary) subscribe(name string) {
	v.t.Helper()
	topic, err := v.ps.Join(name)
	if err != nil {
		v.t.Fatal(err)
	}
	sub, err := topic.Subscribe()
	if err != nil {
		v.t.Fatal(err)
	}
	v.topics[name] = topic
	go func() {
		for {
			m, err := sub.Next(context.Background())
			if err != nil {
				return
			}
			if m.ReceivedFrom != v.host.ID() {
				v.mu.Lock()
				v.got = append(v.got, m.Data)
				v.mu.Unlock()
			}
		}
	}()
}

// publish sends to everyone it is connected to, whatever it is.
func (v *adversary) publish(n *testNode, topic string, data []byte) {
	v.t.Helper()
	if err := v.topics[n.topic(topic)].Publish(context.Background(), data); err != nil {
		v.t.Fatal(err)
	}
}

// announce publishes a block as an honest node would.
func (v *adversary) announce(n *testNode, b *types.Block) {
	v.t.Helper()
	v.publish(n, "blocks", announce(b).append(nil))
}

// ask sends a question and reads the answer.
func (v *adversary) ask(n *testNode, id protocol.ID, question []byte) ([]byte, error) {
	s, err := v.stream(n, id)
	if err != nil {
		return nil, err
	}
	defer s.Reset()
	if err := writeFrame(s, question); err != nil {
		return nil, err
	}
	return readFrame(s, 64<<20)
}

// stream opens one, for what is worse than a question.
func (v *adversary) stream(n *testNode, id protocol.ID) (network.Stream, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	s, err := v.host.NewStream(network.WithNoDial(ctx, "test"), n.host.ID(), id)
	if err != nil {
		return nil, err
	}
	_ = s.SetDeadline(time.Now().Add(30 * time.Second))
	return s, nil
}

// ended waits until the node has ended a stream, whatever it writes before that, and
// says whether it did.
func ended(s network.Stream) bool {
	_, err := io.Copy(io.Discard, s)
	return !errors.Is(err, os.ErrDeadlineExceeded)
}
