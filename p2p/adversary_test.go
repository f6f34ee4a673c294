package p2p

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"

	"cairn/chain/chaintest"
	"cairn/consensus"
	"cairn/store"
	"cairn/syncer"
	"cairn/types"
)

// key is that of a person of a network with signatures.
func key(person byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(append(make([]byte, 31), person))
}

func account(person byte) types.Account {
	return types.Account(key(person).Public().(ed25519.PublicKey))
}

func signed(r *consensus.Rules) { r.Signatures, r.CreditLimit = true, 0 }

// transfers returns valid ones that nobody has, of a sender to whom the network lends.
func transfers(sender types.Account, count int) []types.Transfer {
	all := make([]types.Transfer, count)
	for i := range all {
		all[i] = types.Transfer{Sender: sender, Recipient: "shop", Amount: 1, Expiry: 500, Salt: rand.Uint64()}
	}
	return all
}

// onTop mines a header on a block that the first node knows, as change has it.
func (h *honest) onTop(parent types.Hash, change func(*types.Header)) *types.Block {
	h.t.Helper()
	state, _, err := h.nodes[0].chain.State(parent)
	if err != nil {
		h.t.Fatal(err)
	}
	b := &types.Block{
		Header: types.Header{Version: 0x20000000, Previous: parent, Time: state.Time + 10, Nonce: rand.Uint32()},
		Reward: types.Reward{Height: state.Height + 1, Amount: 50, Recipient: "x"},
	}
	b.Header.Bits = h.Rules.AllowedBits(state, b.Header.Time)
	b.Header.MerkleRoot, _ = types.MerkleRoot(b.IDs())
	if change != nil {
		change(&b.Header)
	}
	target, err := consensus.CompactToTarget(b.Header.Bits)
	if err != nil {
		h.t.Fatal(err)
	}
	for !target.Meets(b.Header.Hash()) {
		b.Header.Nonce++
	}
	return b
}

// Messages that are none, on both topics. Whoever sends three is banned, and nobody is
// sent them on: who got one would blame the honest node.
func TestMalformedGossip(t *testing.T) {
	t.Parallel()
	h := besieged(t, 2, testRules(t, nil), nil)
	block := func() []byte { return announce(h.onTop(h.Hash("h10"), nil)).append(nil) }
	sent := 0
	some := func() []byte { return batch(transfers("x", 3)).append(nil) }
	for _, c := range []struct {
		name, topic string
		message     func() []byte
	}{
		{"noise", "blocks", func() []byte { return binary.LittleEndian.AppendUint64(nil, rand.Uint64()) }},
		{"nothing but zeros", "blocks", func() []byte { sent++; return make([]byte, sent) }},
		{"cut", "blocks", func() []byte { b := block(); return b[:len(b)-1] }},
		{"trailing", "blocks", func() []byte { return append(block(), 0) }},
		{"too many short ids", "blocks", func() []byte {
			a := announce(h.onTop(h.Hash("h10"), nil))
			a.short = make([]uint64, maxTransfers(h.nodes[0].maxBlock())+1)
			return a.append(nil)
		}},
		{"noise", "transfers", func() []byte { return binary.LittleEndian.AppendUint64([]byte{9}, rand.Uint64()) }},
		{"cut", "transfers", func() []byte { b := some(); return b[:len(b)-1] }},
		{"trailing", "transfers", func() []byte { return append(some(), 0) }},
		{"none", "transfers", func() []byte { sent++; return make([]byte, sent) }},
		{"too many", "transfers", func() []byte { return batch(transfers("x", maxBatch+1)).append(nil) }},
		{"too long", "transfers", func() []byte { return append(some(), make([]byte, maxBatchSize)...) }},
	} {
		v := h.newAdversary(t)
		v.join(h.nodes[0])
		for range 3 {
			v.publish(h.nodes[0], c.topic, c.message())
		}
		t.Log(c.topic, c.name)
		h.wantBan(v.host.ID(), "not the peer-to-peer format")
	}
	h.alive()
}

// A message above gossip's own limit ends the stream that it comes on before it is
// read, and topics of which this node knows nothing are not remembered.
func TestGiantAndForeignGossip(t *testing.T) {
	t.Parallel()
	h := besieged(t, 2, testRules(t, nil), nil)
	v := h.newAdversary(t)
	v.join(h.nodes[0])
	v.publish(h.nodes[0], "blocks", make([]byte, 8<<20))
	for i := range 500 {
		v.subscribe(fmt.Sprint("/elsewhere/", i))
	}
	eventually(t, "who sent too long a message is blamed", func() bool { return h.blamed(0, v.host.ID(), "too large") > 0 })
	h.alive()
	if h.blamed(1, h.nodes[0].host.ID()) > 0 {
		t.Error("it was passed on")
	}
}

// Headers that break a rule: each costs its sender dearly, and goes no further.
func TestBadHeaders(t *testing.T) {
	t.Parallel()
	h := besieged(t, 2, testRules(t, nil), nil)
	spoilt := h.Add("spoilt", "h10", chaintest.Spec{Spoil: func(b *types.Block) { b.Reward.Amount++ }})
	for _, n := range h.nodes {
		if err := n.chain.AddBlocks(t.Context(), []*types.Block{spoilt}); err == nil {
			t.Fatal("the block is valid")
		}
	}
	for _, c := range []struct {
		reason string
		block  func() *types.Block
	}{
		{consensus.ErrProofOfWork.Error(), func() *types.Block {
			b := h.onTop(h.Hash("h10"), nil)
			for target, _ := consensus.CompactToTarget(b.Header.Bits); target.Meets(b.Header.Hash()); {
				b.Header.Nonce++
			}
			return b
		}},
		{consensus.ErrBits.Error(), func() *types.Block {
			return h.onTop(h.Hash("h10"), func(h *types.Header) { h.Bits = 0x207ffffe })
		}},
		{consensus.ErrVersion.Error(), func() *types.Block {
			return h.onTop(h.Hash("h10"), func(h *types.Header) { h.Version = 1 })
		}},
		{consensus.ErrTimeBeforeParent.Error(), func() *types.Block {
			return h.onTop(h.Hash("h10"), func(h *types.Header) { h.Time -= 11 })
		}},
		{"known to be invalid", func() *types.Block { return h.onTop(spoilt.Header.Hash(), nil) }},
	} {
		v := h.newAdversary(t)
		v.join(h.nodes[0])
		for range 3 {
			v.announce(h.nodes[0], c.block())
		}
		h.wantBan(v.host.ID(), c.reason)
	}
	h.alive()
}

// Blocks whose headers are good and whose bodies are not, each after a good one, so that
// it is passed on before it is validated: honest nodes get it from honest nodes.
// However many there are, those may not fall out over it. What bounds it is the proof
// of work that each costs, and that it is passed on once.
func TestInvalidBodies(t *testing.T) {
	t.Parallel()
	h := besieged(t, 3, testRules(t, signed), nil)
	v := h.newAdversary(t)
	v.join(h.nodes[0])
	forged := types.Transfer{Sender: account(1), Recipient: account(2), Amount: 1, Expiry: 100}
	h.Rules.Sign(&forged, key(3))
	const bad = 12
	for i := range bad {
		v.announce(h.nodes[0], h.next())
		eventually(t, "the good block is everywhere", func() bool {
			return !slices.ContainsFunc(h.nodes, func(n *testNode) bool { return n.chain.Tip().Hash != h.Hash(h.tip) })
		})
		spec := h.spec()
		switch i % 3 {
		case 0:
			spec.Spoil = func(b *types.Block) { b.Reward.Amount++ }
		case 1:
			spec.Tamper = func(b *types.Block) {
				b.Reward.Commitment[0]++
				b.Header.MerkleRoot, _ = types.MerkleRoot(b.IDs())
			}
		case 2:
			forged.Salt++
			spec.Transfers = []types.Transfer{forged}
		}
		block := h.Add(fmt.Sprint("bad", i), h.tip, spec)
		v.answer(wantsProtocol, 1<<20, func([]byte) []byte { return transfersAnswer{true, block.Transfers}.append(nil) })
		v.announce(h.nodes[0], block)
		eventually(t, "it is known to be invalid", func() bool {
			_, status, err := h.nodes[0].chain.State(block.Header.Hash())
			return err == nil && status&store.Invalid != 0
		})
	}
	eventually(t, "the adversary is blamed for each", func() bool { return h.blamed(0, v.host.ID()) == bad })
	if h.blamed(1, h.nodes[0].host.ID()) == 0 {
		t.Error("nothing was passed on: this test shows nothing")
	}
	for i, n := range h.nodes {
		if len(n.Bans()) > 0 {
			t.Errorf("node %d bans %v", i, n.Bans())
		}
		for _, p := range n.Peers() {
			if h.isNode(p.ID) && p.Score < -40 {
				t.Errorf("node %d does not listen to an honest one any more: score %v", i, p.Score)
			}
		}
	}
	for i := range h.nodes {
		h.give(i, h.next())
		agree(t, append([]*testNode{h.nodes[i]}, h.nodes...)...)
	}
}

// A block that was announced and does not come: its announcer says nothing, or
// something else. The honest node gets it from one who has it, or goes on without. An
// answer that is no message is a fault; the rest may happen to the honest.
func TestWithheldBodies(t *testing.T) {
	t.Parallel()
	other := transfers("y", 3)
	for name, c := range map[string]struct {
		answer func(question []byte) []byte
		fault  bool
	}{
		"silence":         {nil, false},
		"not found":       {func([]byte) []byte { return transfersAnswer{}.append(nil) }, false},
		"other transfers": {func([]byte) []byte { return transfersAnswer{true, other}.append(nil) }, false},
		"too many":        {func([]byte) []byte { return transfersAnswer{true, append(other, other...)}.append(nil) }, false},
		"noise":           {func([]byte) []byte { return []byte("noise") }, true},
		"a giant":         {func([]byte) []byte { return make([]byte, 2_000_000) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := besieged(t, 2, testRules(t, nil), nil)
			v := h.newAdversary(t)
			v.answer(wantsProtocol, 1<<20, c.answer)
			v.join(h.nodes[0])
			withheld := h.Add("withheld", "h10", chaintest.Spec{Transfers: transfers("x", 3)})
			v.announce(h.nodes[0], withheld)
			eventually(t, "the adversary is asked", func() bool { return v.asked(wantsProtocol) > 0 })
			h.give(1, withheld)
			agree(t, h.nodes[1], h.nodes[0])
			h.tip = "withheld"

			v.announce(h.nodes[0], h.Add("lost", h.tip, chaintest.Spec{Transfers: transfers("x", 3)}))
			h.alive()
			if faults := h.blamed(0, v.host.ID()); (faults > 0) != c.fault {
				t.Errorf("it was blamed %d times", faults)
			}
		})
	}
}

// More blocks that do not come than a node puts together at a time: it keeps to that
// number, and gets what is honest all the same.
func TestManyWithheld(t *testing.T) {
	t.Parallel()
	h := besieged(t, 2, testRules(t, nil), nil)
	var crowd []*adversary
	for range maxAssembling {
		v := h.newAdversary(t)
		v.join(h.nodes[0])
		crowd = append(crowd, v)
	}
	assembling := func() int {
		h.nodes[0].blocks.mu.Lock()
		defer h.nodes[0].blocks.mu.Unlock()
		return len(h.nodes[0].blocks.all)
	}
	for i := range maxAssembling {
		crowd[0].announce(h.nodes[0], h.Add(fmt.Sprint("one", i), "h10", chaintest.Spec{Transfers: transfers("x", 3)}))
	}
	eventually(t, "the first of them are looked at", func() bool { return crowd[0].asked(wantsProtocol) >= maxOfOne })
	marker := transfers("x", 1)
	crowd[0].publish(h.nodes[0], "transfers", batch(marker).append(nil))
	eventually(t, "what was sent after them is there", func() bool { _, ok := h.nodes[0].chain.Pending(marker[0].ID()); return ok })
	if got := assembling(); got > maxOfOne {
		t.Errorf("%d blocks of one peer are being put together", got)
	}
	for i := range 3 * maxAssembling {
		crowd[i%len(crowd)].announce(h.nodes[0], h.Add(fmt.Sprint("lost", i), "h10", chaintest.Spec{Transfers: transfers("x", 3)}))
	}
	eventually(t, "the node is busy", func() bool { return assembling() >= maxAssembling })
	h.alive()
	if got := assembling(); got > maxAssembling {
		t.Errorf("%d blocks are being put together", got)
	}
	for _, v := range crowd {
		if h.blamed(0, v.host.ID()) > 0 {
			t.Error("one is blamed: its line may be slow")
		}
	}
}

// Transfers that can never be valid: who sends them is banned, and they go no further.
func TestInvalidTransfers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		reason string
		change func(*consensus.Rules)
		spoil  func(p *types.Transfer)
	}{
		{consensus.ErrSignature.Error(), signed, func(p *types.Transfer) { p.Signature[rand.IntN(64)]++ }},
		{consensus.ErrUnexpectedSignature.Error(), nil, func(p *types.Transfer) { p.Signature[0]++ }},
		{consensus.ErrSystemAccount.Error(), nil, func(p *types.Transfer) { p.Sender = types.System }},
		{consensus.ErrAccount.Error(), nil, func(p *types.Transfer) { p.Recipient = "\n" }},
	} {
		h := besieged(t, 2, testRules(t, c.change), nil)
		good := func() types.Transfer {
			p := types.Transfer{Sender: "x", Recipient: "shop", Amount: 1, Expiry: 500, Salt: rand.Uint64()}
			if h.Rules.Signatures {
				p.Sender, p.Recipient = account(1), account(2)
			}
			h.Rules.Sign(&p, key(1))
			return p
		}
		v := h.newAdversary(t)
		v.join(h.nodes[0])
		for range 3 {
			bad, beside := good(), good()
			c.spoil(&bad)
			v.publish(h.nodes[0], "transfers", batch{beside, bad}.append(nil))
			// What is good beside it may not be lost: whoever announces that is not heard.
			eventually(t, "the good one is at the other", func() bool { _, ok := h.nodes[1].chain.Pending(beside.ID()); return ok })
		}
		h.wantBan(v.host.ID(), c.reason)
		h.alive()
	}
}

// Transfers that another may have reason to think well of are nobody's fault.
func TestUnluckyTransfers(t *testing.T) {
	t.Parallel()
	h := besieged(t, 2, testRules(t, func(r *consensus.Rules) { r.CreditLimit = 0 }), nil)
	v := h.newAdversary(t)
	v.join(h.nodes[0])
	p := types.Transfer{Sender: chaintest.Miner, Recipient: "shop", Amount: 1, Expiry: 500, Salt: 1}
	again, poor, late, early := p, p, p, p
	again.Amount = 2
	poor.Sender = "poor"
	late.Expiry, late.Salt = 3, 2
	early.Expiry, early.Salt = 100_000, 3
	for _, unlucky := range []types.Transfer{p, again, poor, late, early} {
		for fee := range 3 {
			unlucky.Fee = uint64(fee)
			v.publish(h.nodes[0], "transfers", batch{unlucky}.append(nil))
		}
	}
	p.Salt = 4
	v.publish(h.nodes[0], "transfers", batch{p}.append(nil))
	eventually(t, "the last is at the other", func() bool { _, ok := h.nodes[1].chain.Pending(p.ID()); return ok })
	if faults := h.blamed(0, v.host.ID()); faults > 0 {
		t.Errorf("it was blamed %d times", faults)
	}

	// What came too early is announced when somebody submits it in time.
	rich := types.Transfer{Sender: chaintest.Miner, Recipient: "poor", Amount: 10, Expiry: 500, Salt: 5}
	h.count++
	h.give(0, h.Add("alms", h.tip, chaintest.Spec{Transfers: []types.Transfer{rich}}))
	h.tip = "alms"
	agree(t, h.nodes...)
	if _, err := h.nodes[0].chain.AddTransfer(t.Context(), poor); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what was too early is at the other", func() bool { _, ok := h.nodes[1].chain.Pending(poor.ID()); return ok })
	h.alive()
}

// The same transfers over and over, in messages that are new each time: shuffled, or
// beside one that is new. What a node sends on is bounded by what was new, not by what
// it got. Nobody is blamed for it: an honest one may be behind.
func TestDuplicateFlood(t *testing.T) {
	t.Parallel()
	h := besieged(t, 2, testRules(t, nil), nil)
	v, ear := h.newAdversary(t), h.newAdversary(t)
	v.join(h.nodes[0])
	ear.join(h.nodes[0])
	old := transfers("x", maxBatch)
	v.publish(h.nodes[0], "transfers", batch(old).append(nil))
	here := func(n int, id types.Hash) func() bool {
		return func() bool { _, ok := h.nodes[n].chain.Pending(id); return ok }
	}
	eventually(t, "the first are everywhere", here(1, old[0].ID()))
	const fresh = 20
	for _, p := range transfers("z", fresh) {
		rand.Shuffle(len(old), func(i, j int) { old[i], old[j] = old[j], old[i] })
		v.publish(h.nodes[0], "transfers", batch(append(old[:maxBatch-1:maxBatch-1], p)).append(nil))
		eventually(t, "the new one is everywhere", here(1, p.ID()))
	}
	for range 2000 {
		rand.Shuffle(len(old), func(i, j int) { old[i], old[j] = old[j], old[i] })
		v.publish(h.nodes[0], "transfers", batch(old).append(nil))
	}
	h.alive()
	ear.mu.Lock()
	defer ear.mu.Unlock()
	carried := 0
	for _, m := range ear.got {
		if b, err := decodeBatch(m); err == nil {
			carried += len(b)
		}
	}
	if carried > 2*(maxBatch+fresh) {
		t.Errorf("%d transfers were passed on, where %d were new", carried, maxBatch+fresh)
	}
	if faults := h.blamed(0, v.host.ID()); faults > 0 {
		t.Errorf("it was blamed %d times", faults)
	}
}

// Streams on which nothing comes, or a byte now and then. So many of one peer are
// heard at a time, each ends, and others are served meanwhile.
func TestSlowLoris(t *testing.T) {
	t.Parallel()
	h := besieged(t, 2, testRules(t, nil), nil)
	a := h.nodes[0]
	serving := func(id peer.ID) int { s, _ := a.peers.get(id); return s.serving }
	var open sync.WaitGroup
	for _, id := range []protocol.ID{helloProtocol, wantsProtocol, poolProtocol, addressProtocol, httpProtocol} {
		v := h.newAdversary(t)
		v.join(a)
		for range 30 {
			s, err := v.stream(a, id)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = s.Write([]byte{40}) // a part of a length, or of a method; it may be reset already
			open.Go(func() {
				if !ended(s) {
					t.Errorf("%s: a stream does not end", id)
				}
			})
		}
		if id == httpProtocol {
			continue // there a question counts once its header is here
		}
		most := served
		if id == addressProtocol || id == poolProtocol {
			most = 1 + served
		}
		eventually(t, string(id)+": its places are taken", func() bool { return serving(v.host.ID()) > 0 })
		if got := serving(v.host.ID()); got > most {
			t.Errorf("%s: %d questions are being answered", id, got)
		}
	}
	h.alive()
	if _, err := h.nodes[1].ask(t.Context(), a.host.ID(), helloProtocol, h.nodes[1].hello().append(nil), maxHelloSize); err != nil {
		t.Errorf("an honest peer is not served: %v", err)
	}
	open.Wait()
}

// Streams without end: libp2p's resource manager has a limit for one peer.
func TestManyStreams(t *testing.T) {
	t.Parallel()
	h := besieged(t, 2, testRules(t, nil), nil)
	v := h.newAdversary(t)
	v.join(h.nodes[0])
	for range 300 {
		if s, err := v.stream(h.nodes[0], httpProtocol); err == nil {
			_, _ = s.Write([]byte("G"))
		}
	}
	here := 0
	for _, c := range h.nodes[0].host.Network().ConnsToPeer(v.host.ID()) {
		here += len(c.GetStreams())
	}
	if here > 128 {
		t.Errorf("%d streams of one peer", here)
	}
	h.alive()
}

// Who never says hello gets no answers and is left.
func TestNoHello(t *testing.T) {
	t.Parallel()
	h := besieged(t, 2, testRules(t, nil), nil)
	v := h.newAdversary(t)
	v.attach(h.nodes[0])
	for _, id := range []protocol.ID{wantsProtocol, poolProtocol, addressProtocol} {
		if _, err := v.ask(h.nodes[0], id, nil); err == nil {
			t.Errorf("%s: a stranger is answered", id)
		}
	}
	if len(h.nodes[0].Peers()) != 1 {
		t.Error("a stranger is taken for a peer")
	}
	eventually(t, "it is left", func() bool { return h.logs[0].count(v.host.ID().String(), "it did not say hello") > 0 })
	eventually(t, "it is gone", func() bool { return h.nodes[0].host.Network().Connectedness(v.host.ID()) != network.Connected })
	h.alive()
}

// Hellos that are none.
func TestMalformedHello(t *testing.T) {
	t.Parallel()
	h := besieged(t, 2, testRules(t, nil), nil)
	v := h.newAdversary(t)
	v.attach(h.nodes[0])
	for range 3 {
		_, _ = v.ask(h.nodes[0], helloProtocol, []byte("hello"))
	}
	h.wantBan(v.host.ID(), "not the peer-to-peer format")
	h.alive()
}

// claim is an answer of the sync format to who asks for the tip.
func (v *adversary) claim(tip consensus.State) []byte {
	b := append([]byte(nil), v.said.chain[:]...)
	b = append(b, make([]byte, 16)...)
	b = binary.LittleEndian.AppendUint32(b, tip.Height)
	b = append(b, tip.Hash[:]...)
	work := tip.Work.LittleEndian()
	return append(b, work[:]...)
}

// much is more work than anybody has.
var much = consensus.Work{0, 0, 0, 1}

// Peers that say they have more work than there is. Those whose chain turns out to be
// ours get little by it, however many they are and however often they say it; who
// lies to the sync too is banned. Meanwhile a chain that is heavier comes by sync.
func TestLiarsAboutWork(t *testing.T) {
	t.Parallel()
	h := besieged(t, 2, testRules(t, nil), nil)
	a := h.nodes[0]
	const liars, times = sources + 4, 20
	var all []*adversary
	for range liars {
		v := h.newAdversary(t)
		v.said.work, v.said.height = much, 1_000_000_000
		v.serveHTTP(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/tip") {
				w.Write(v.claim(a.chain.Tip()))
			}
		})
		v.join(a)
		all = append(all, v)
	}
	began := time.Now()
	for range times {
		for _, v := range all {
			v.greet(a)
		}
	}
	for _, v := range all {
		most := 2 + int(time.Since(began)/restTime)
		if got := v.asked("/sync/1/tip"); got > most {
			t.Errorf("a liar was asked for its tip %d times", got)
		}
		if faults := h.blamed(0, v.host.ID()); faults > 0 {
			t.Errorf("it was blamed %d times, and may have thought so", faults)
		}
	}

	// The other honest one says that it has more, of which no announcement came.
	chain := h.Chain("longer", "h10", 5, chaintest.Spec{})
	h.tip = "longer5"
	late := h.newAdversary(t)
	late.join(a) // a bare host, but honest
	late.said.height, late.said.work = 15, h.State("longer5").Work
	late.serveHTTP(func(w http.ResponseWriter, r *http.Request) { h.serve(w, r, late, chain) })
	late.greet(a)
	eventually(t, "the longer chain is here", func() bool { return a.chain.Tip().Hash == h.Hash("longer5") })

	worse := h.newAdversary(t)
	worse.said.work = much
	worse.serveHTTP(func(w http.ResponseWriter, r *http.Request) {
		w.Write(worse.claim(consensus.State{Height: 1_000_000, Work: much}))
		if strings.HasSuffix(r.URL.Path, "/headers") {
			w.Write(make([]byte, 4))
		}
	})
	worse.attach(a)
	worse.greet(a)
	h.wantBan(worse.host.ID(), "lying")
	h.alive()
}

// serve answers the sync's questions for a chain that follows block h10.
func (h *honest) serve(w http.ResponseWriter, r *http.Request, v *adversary, chain []*types.Block) {
	if strings.HasSuffix(r.URL.Path, "/blocks") {
		for hash := range strings.SplitSeq(r.URL.Query().Get("hash"), ",") {
			i := slices.IndexFunc(chain, func(b *types.Block) bool { return b.Header.Hash().String() == hash })
			encoding := chain[i].Encode()
			w.Write(append(binary.LittleEndian.AppendUint32(nil, uint32(len(encoding))), encoding...))
		}
		return
	}
	last := chain[len(chain)-1].Header
	answer := v.claim(consensus.State{Hash: last.Hash(), Height: v.said.height, Work: v.said.work})
	if strings.HasSuffix(r.URL.Path, "/headers") {
		answer = binary.LittleEndian.AppendUint32(answer, uint32(len(chain)))
		for _, b := range chain {
			header := b.Header.Encode()
			answer = append(answer, header[:]...)
		}
	}
	w.Write(answer)
}

// Headers without end that are easy to make. Where it is known how much work the chain
// of the network has, their bodies are not even asked for, and the peer's own claim
// bounds how many are read; where it is not, the first bodies have to come before more
// headers are read.
func TestEndlessHeaders(t *testing.T) {
	t.Parallel()
	const atOnce = 100_000 // in an answer
	rules := testRules(t, nil)
	easy := make([]byte, 0, (atOnce+1000)*types.HeaderSize)
	state := rules.GenesisState()
	for range atOnce + 1000 {
		header := types.Header{Version: 0x20000000, Previous: state.Hash, Time: state.Time + 10}
		header.Bits = rules.AllowedBits(state, header.Time)
		next, err := rules.ValidateHeader(state, header, uint64(header.Time))
		for ; err != nil; next, err = rules.ValidateHeader(state, header, uint64(header.Time)) {
			header.Nonce++
		}
		b := header.Encode()
		easy, state = append(easy, b[:]...), next
	}
	for name, c := range map[string]struct {
		least  consensus.Work
		reason string
	}{
		"work is known":    {consensus.Work{0, 1}, "lying"},
		"nothing is known": {consensus.Work{}, "withheld"},
	} {
		t.Run(name, func(t *testing.T) {
			first := true
			h := besieged(t, 2, rules, func(cfg *Config) {
				if !first { // this one has to get the first one's chain, whatever work that has
					return
				}
				first = false
				var err error
				cfg.Syncer, err = syncer.New(syncer.Config{Chain: cfg.Chain, Store: cfg.Store, MinWork: c.least})
				if err != nil {
					t.Fatal(err)
				}
			})
			v := h.newAdversary(t)
			v.said.work, v.said.height = much, 1_000_000_000
			claim := v.claim(consensus.State{Height: atOnce + 1000, Work: much})
			v.serveHTTP(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/blocks") { // it has none of them
					w.Write(make([]byte, 4*(1+strings.Count(r.URL.Query().Get("hash"), ","))))
					return
				}
				w.Write(claim)
				if strings.HasSuffix(r.URL.Path, "/tip") {
					return
				}
				part := easy
				if after, _, _ := strings.Cut(r.URL.Query().Get("after"), ","); after != h.Hash("h10").String() {
					part = easy[atOnce*types.HeaderSize:]
				}
				part = part[:min(len(part), atOnce*types.HeaderSize)]
				w.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(part)/types.HeaderSize)))
				w.Write(part)
			})
			v.join(h.nodes[0])
			eventually(t, "it is blamed", func() bool { return h.blamed(0, v.host.ID(), c.reason) > 0 })
			if got := v.asked("/sync/1/headers"); got > 2 {
				t.Errorf("it was asked for headers %d times", got)
			}
			if got := v.asked("/sync/1/blocks"); got > 0 && c.least != (consensus.Work{}) {
				t.Errorf("it was asked for blocks %d times", got)
			}
			h.alive()
		})
	}
}

// Two valid blocks of one height, each told to one node only. Whoever finds the next
// decides, and nobody did wrong that anybody could prove.
func TestEquivocation(t *testing.T) {
	t.Parallel()
	h := besieged(t, 2, testRules(t, nil), nil)
	for i, name := range []string{"x", "y"} {
		v := h.newAdversary(t)
		v.join(h.nodes[i])
		v.announce(h.nodes[i], h.Add(name, "h10", chaintest.Spec{}))
		defer func() {
			if h.blamed(i, v.host.ID()) > 0 {
				t.Error("it was blamed")
			}
		}()
	}
	for _, n := range h.nodes {
		eventually(t, "one of the two is its tip", func() bool { return n.chain.Tip().Height == 11 })
	}
	h.tip = h.Name(h.nodes[0].chain.Tip().Hash)
	h.alive()
}

// Fifty peers of one hand around a node that has sixteen places. It keeps the
// connections that it made itself, makes more of them though all places are taken, and
// remembers only so many of the nodes that each of them tells of.
func TestEclipse(t *testing.T) {
	t.Parallel()
	h := besieged(t, 1, testRules(t, nil), func(c *Config) { c.MaxPeers = 16 })
	a := h.nodes[0]
	for i := range 3 {
		log := new(journal)
		n := startNode(t, fmt.Sprint("far", i), h.Rules, nil, nil)
		h.nodes, h.logs = append(h.nodes, n), append(h.logs, log)
	}
	a.join(h.nodes[1])
	a.join(h.nodes[2])
	h.settle()
	var crowd []*adversary
	for range 50 {
		v := h.newAdversary(t)
		v.answer(addressProtocol, 0, func([]byte) []byte {
			var nodes []node
			for range maxNodes {
				nodes = append(nodes, node{id: string(stranger(t)), addresses: []string{string(ma.StringCast("/ip4/127.0.0.1/tcp/1").Bytes())}})
			}
			return appendAddresses(nil, nodes)
		})
		if v.host.Connect(t.Context(), peer.AddrInfo{ID: a.host.ID(), Addrs: a.host.Addrs()}) == nil && v.greet(a) {
			crowd = append(crowd, v)
		}
	}
	if len(crowd) < 8 {
		t.Fatalf("only %d of them got in", len(crowd))
	}
	t.Log(len(crowd), "of them got in")
	for _, v := range crowd {
		for range 4 {
			a.askAddresses(t.Context(), v.host.ID())
		}
	}
	told := make(map[peer.ID]int)
	a.book.mu.Lock()
	for _, e := range a.book.known {
		told[e.by]++
	}
	if len(a.book.known) > maxBook {
		t.Errorf("%d nodes are remembered", len(a.book.known))
	}
	a.book.mu.Unlock()
	for _, v := range crowd {
		if told[v.host.ID()] > maxTold+1 {
			t.Errorf("%d nodes are remembered that one peer told of", told[v.host.ID()])
		}
	}

	// It was connected to the third before a restart, say.
	third := h.nodes[3]
	if err := a.book.met(third.host.ID(), third.host.Addrs()[0]); err != nil {
		t.Fatal(err)
	}
	eventually(t, "there is room for the third", func() bool { return a.peers.welcomed(third.host.ID()) })
	for _, n := range h.nodes[1:] {
		eventually(t, "the connections to the honest cannot be crowded out", func() bool { return a.host.ConnManager().IsProtected(n.host.ID(), "") })
	}
	h.settle()
	a.host.ConnManager().TrimOpenConns(t.Context())
	for i, n := range h.nodes[1:] {
		if a.host.Network().Connectedness(n.host.ID()) != network.Connected {
			t.Errorf("the connection to honest node %d was crowded out", i+1)
		}
	}
	h.alive()
}

// stranger is a peer ID.
func stranger(t *testing.T) peer.ID {
	t.Helper()
	_, public, err := crypto.GenerateEd25519Key(nil)
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// A class behind one address: thirty nodes that all keep the rules think well of each
// other.
func TestClassroom(t *testing.T) {
	t.Parallel()
	rules := testRules(t, nil)
	h := besieged(t, 30, rules, nil)
	for i, n := range h.nodes {
		for range 10 {
			n.pay()
		}
		if i%10 == 0 {
			n.mine(1)
		}
	}
	agreeSome := func() { // two found at once: the next decides
		h.nodes[0].mine(1)
		agree(t, h.nodes...)
	}
	eventually(t, "all are on one chain or a tie", func() bool {
		for _, n := range h.nodes {
			if n.chain.Tip().Work != h.nodes[0].chain.Tip().Work {
				return false
			}
		}
		return true
	})
	agreeSome()
	for i, n := range h.nodes {
		if bans := n.Bans(); len(bans) > 0 || h.logs[i].count("peer is at fault") > 0 {
			t.Errorf("node %d blames others, bans %v", i, bans)
		}
		for _, p := range n.Peers() {
			if p.Score < 0 {
				t.Errorf("node %d gives %s score %v", i, p.ID, p.Score)
			}
		}
	}
}

// Blocks of tomorrow, blocks of yesterday, branches that are lighter, blocks that hang
// on nothing known: whoever announces them may have another clock, or be behind.
func TestNobodysFault(t *testing.T) {
	t.Parallel()
	h := besieged(t, 2, testRules(t, nil), nil)
	v := h.newAdversary(t)
	v.said.height, v.said.work = 0, consensus.Work{}
	v.join(h.nodes[0])
	ahead := uint32(now()) - h.State("h10").Time + uint32(h.Rules.FutureLimit()) + 1000
	h.Chain("light", "h3", 3, chaintest.Spec{})
	h.Chain("unknown", "light3", 20, chaintest.Spec{})
	for _, b := range h.Blocks("h1", "h10", "light1", "light2", "light3", "unknown10", "unknown20") {
		v.announce(h.nodes[0], b)
	}
	for i := range 4 {
		v.announce(h.nodes[0], h.Add(fmt.Sprint("tomorrow", i), "h10", chaintest.Spec{Interval: ahead}))
	}
	marker := transfers("x", 1)
	v.publish(h.nodes[0], "transfers", batch(marker).append(nil))
	eventually(t, "the last message is there", func() bool { _, ok := h.nodes[0].chain.Pending(marker[0].ID()); return ok })
	h.alive()
	if faults := h.blamed(0, v.host.ID()); faults > 0 {
		t.Errorf("it was blamed %d times", faults)
	}
}
