package api

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cairn/api/client"
	"cairn/consensus"
	"cairn/mempool"
	"cairn/types"
)

const genesisJSON = `{"index":0,"previous_hash":0,"proof":0,"timestamp":1767225600,"transactions":[]}`

// The answers that programs written for the tutorial's network compare, byte for
// byte.
func TestFiveCalls(t *testing.T) {
	n := newNode(t, nodeConfig{})
	n.get("/chain").is(200, `{"chain":[`+genesisJSON+`]}`)
	n.post("/create-transaction", `{"sender": "addr1", "recipient": "addr2", "amount": 3}`).
		is(201, `{"message":"Transaction has been submitted successfully","block_index":1}`)

	a := n.get("/mine")
	block := decode[client.Mined](a).BlockData
	blockJSON := fmt.Sprintf(`{"index":1,"previous_hash":"%s","proof":%d,"timestamp":%d,"transactions":[`+
		`{"amount":3,"recipient":"addr2","sender":"addr1"},{"amount":1,"recipient":"%s","sender":"0"}]}`,
		n.chain.Rules().ChainID(), block.Proof, block.Timestamp, n.address)
	a.is(200, `{"message":"Successfully Mined the new Block","block_data":`+blockJSON+`}`)
	n.get("/chain").is(200, `{"chain":[`+genesisJSON+`,`+blockJSON+`]}`)

	n.post("/register-node", `{"address": "http://127.0.0.1:5001"}`).
		is(201, `{"message":"New node has been added","node_count":1,"nodes":["http://127.0.0.1:5001"]}`)
}

func TestSyncWithoutNeighbours(t *testing.T) {
	n := newNode(t, nodeConfig{})
	n.get("/sync-chain").is(200, `{"message":"No neighbour chain is available"}`)
}

// The header behind a block's JSON hashes to what the next block names, and
// meets its proof of work.
func TestBlocksAreReal(t *testing.T) {
	n := newNode(t, nodeConfig{})
	first, second := n.mine(), n.mine()
	if types.Hash(second.PreviousHash) == types.Hash(first.PreviousHash) {
		t.Error("two blocks have the same parent")
	}
	state, _, err := n.chain.State(types.Hash(second.PreviousHash))
	if err != nil || state.Height != 1 || state.Time != first.Timestamp {
		t.Errorf("the second block's previous hash is of %+v, %v", state, err)
	}
	if tip := n.chain.Tip(); tip.Height != 2 || tip.Previous != state.Hash {
		t.Errorf("the tip is %+v", tip)
	}
}

func TestNodeAddress(t *testing.T) {
	n := newNode(t, nodeConfig{})
	if !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(n.address) {
		t.Errorf("the node's address is %q", n.address)
	}
	reward := n.mine().Transactions[0]
	if want := (client.Transaction{Amount: "1", Recipient: n.address, Sender: "0"}); reward != want {
		t.Errorf("the reward is %+v, want %+v", reward, want)
	}
	if got := decode[client.Status](n.get("/v1/status")).NodeAddress; got != n.address {
		t.Errorf("the status says the address is %q, not %q", got, n.address)
	}
}

// What was sent as an amount comes back as the same number.
func TestAmountsAreExact(t *testing.T) {
	n := newNode(t, nodeConfig{})
	amounts := map[string]string{ // sent: shown
		"3": "3", "0.1": "0.1", "3.0": "3", "1e2": "100", "0": "0", "0.00000001": "0.00000001", "15e-8": "0.00000015",
		"90071992.54740991": "90071992.54740991", "0.10": "0.1", "1.5E+1": "15", "2.50000000000000000000": "2.5",
	}
	for sent, shown := range amounts {
		n.post("/create-transaction", fmt.Sprintf(`{"sender":"from %s","recipient":"to %[1]s","amount":%[1]s}`, sent)).
			is(201, `{"message":"Transaction has been submitted successfully","block_index":`+fmt.Sprint(n.chain.Tip().Height+1)+`}`)
		want := client.Transaction{Amount: json.Number(shown), Recipient: "to " + sent, Sender: "from " + sent}
		if got := n.mine().Transactions[0]; got != want {
			t.Errorf("sent %s, got %+v", sent, got)
		}
	}
}

func TestOptionalKeys(t *testing.T) {
	n := newNode(t, nodeConfig{})
	n.post("/create-transaction", `{"sender":"a","recipient":"b","amount":1,"fee":0.25,"memo":"héllo","expiry":7,"salt":18446744073709551615,"signature":"`+
		strings.Repeat("0", 128)+`"}`).is(201, `{"message":"Transaction has been submitted successfully","block_index":1}`)
	n.post("/create-transaction", `{"sender":"c","recipient":"b","amount":1,"salt":"18446744073709551614"}`).
		is(201, `{"message":"Transaction has been submitted successfully","block_index":1}`)
	block := n.mine()
	if got := block.Transactions[len(block.Transactions)-1].Amount; got != "1.25" {
		t.Errorf("the reward with a fee of 0.25 is %s", got)
	}
	s, err := n.chain.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	stored, err := s.Block(1, s.Tip.Hash)
	if err != nil {
		t.Fatal(err)
	}
	want := types.Transfer{Sender: "a", Recipient: "b", Amount: 1e8, Fee: 25e6, Expiry: 7, Salt: 1<<64 - 1, Memo: "héllo"}
	if diff := cmp.Diff(want, stored.Transfers[0]); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
	if got := stored.Transfers[1]; got.Salt != 1<<64-2 || got.Expiry != 1_000_000 || got.Fee != 0 || got.Memo != "" {
		t.Errorf("stored %+v", got)
	}
}

// A transfer that was given neither expiry nor salt has a random salt and lives
// nearly as long as it may: it still holds if the chain loses a block.
func TestDefaults(t *testing.T) {
	at := func(height uint32) func() uint32 { return func() uint32 { return height } }
	salts := make(map[uint64]bool)
	for range 100 {
		s := submission{}
		s.complete(at(1_000), 100)
		if s.transfer.Expiry != 1_099 {
			t.Fatalf("expiry %d", s.transfer.Expiry)
		}
		salts[s.transfer.Salt] = true
	}
	if len(salts) != 100 {
		t.Errorf("%d salts in 100", len(salts))
	}
	s := submission{}
	s.complete(at(1), 1)
	if s.transfer.Expiry != 1 {
		t.Errorf("a lifetime of one block: expiry %d", s.transfer.Expiry)
	}
	s.complete(at(1<<32-1), 1_000_000)
	if s.transfer.Expiry != 1<<32-1 {
		t.Errorf("at the last heights: expiry %d", s.transfer.Expiry)
	}
}

// Whoever asks again gets the first answer, and is not paid twice.
func TestSameTransferAgain(t *testing.T) {
	const first = `{"message":"Transaction has been submitted successfully","block_index":1}`
	bodies := []string{
		`{"sender":"a","recipient":"b","amount":1,"salt":1,"expiry":50}`,
		`{"sender":"a","recipient":"b","amount":1,"salt":2}`, // and the height moves on
	}
	n := newNode(t, nodeConfig{})
	for range 2 {
		for _, body := range bodies {
			n.post("/create-transaction", body).is(201, first)
		}
	}
	if got := n.chain.Pool().Transfers; got != 2 {
		t.Errorf("%d transfers are pending", got)
	}
	if got := len(n.mine().Transactions); got != 3 {
		t.Errorf("%d transactions were mined", got)
	}
	n.mine()
	for _, body := range bodies {
		n.post("/create-transaction", body).is(201, first)
	}
	n.unchanged(func() {
		for _, other := range []string{`"amount":2,"salt":2`, `"amount":1,"salt":2,"memo":"x"`, `"amount":1,"salt":1,"expiry":51`} {
			n.post("/create-transaction", `{"sender":"a","recipient":"b",`+other+`}`).refused(409, "salt")
		}
	})
	if got := len(n.mine().Transactions); got != 1 {
		t.Errorf("%d transactions were mined", got)
	}
}

// A pending transfer that depends on the height of its first answer is still
// known when the height has moved on without it.
func TestSamePendingTransferLater(t *testing.T) {
	rules := testRules(t, func(r *consensus.Rules) { r.MaxBlockSize = 1_000 })
	n := newNode(t, nodeConfig{rules: rules})
	for i := range 10 {
		n.post("/create-transaction", fmt.Sprintf(`{"sender":"a","recipient":"b","amount":1,"salt":%d}`, i))
	}
	n.mine()
	if n.chain.Pool().Transfers == 0 {
		t.Fatal("all ten fit into one block")
	}
	n.unchanged(func() {
		for i := range 10 {
			n.post("/create-transaction", fmt.Sprintf(`{"sender":"a","recipient":"b","amount":1,"salt":%d}`, i)).
				is(201, `{"message":"Transaction has been submitted successfully","block_index":1}`)
		}
	})
}

// With equal fees, what arrived first is mined first, over as many blocks as it
// takes.
func TestOrderOfMining(t *testing.T) {
	rules := testRules(t, func(r *consensus.Rules) { r.MaxBlockSize = 1_000 })
	n := newNode(t, nodeConfig{rules: rules})
	const count = 30
	for i := range count {
		n.post("/create-transaction", fmt.Sprintf(`{"sender":"a%02d","recipient":"b","amount":1}`, i))
	}
	var mined []string
	blocks := 0
	for len(mined) < count && blocks < count {
		block := n.mine()
		blocks++
		for _, tx := range block.Transactions[:len(block.Transactions)-1] {
			mined = append(mined, tx.Sender)
		}
	}
	for i, sender := range mined {
		if sender != fmt.Sprintf("a%02d", i) {
			t.Fatalf("mined in the order %v", mined)
		}
	}
	if len(mined) != count || blocks < 2 {
		t.Errorf("%d transfers in %d blocks", len(mined), blocks)
	}
}

// Calls to mine take turns, and each answered block is on the best chain.
func TestConcurrentCalls(t *testing.T) {
	n := newNode(t, nodeConfig{})
	server := httptest.NewServer(n.handler)
	defer server.Close()
	c, err := client.New(server.URL, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	const each = 8
	var wg sync.WaitGroup
	var mu sync.Mutex
	mined := make(map[uint32]client.Block)
	for worker := range 4 {
		wg.Go(func() {
			for i := range each {
				if _, err := c.CreateTransaction(t.Context(), client.NewTransaction{
					Sender: fmt.Sprint("w", worker), Recipient: "b", Amount: json.Number(fmt.Sprint(i)),
				}); err != nil {
					t.Error(err)
				}
				m, err := c.Mine(t.Context())
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				if _, twice := mined[m.BlockData.Index]; twice {
					t.Errorf("block %d was answered twice", m.BlockData.Index)
				}
				mined[m.BlockData.Index] = m.BlockData
				mu.Unlock()
				if _, err := c.Status(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			for range each {
				heights := uint32(0)
				for b, err := range c.Chain(t.Context(), 0, -1) {
					if err != nil || b.Index != heights {
						t.Errorf("block %d where %d should be, %v", b.Index, heights, err)
					}
					heights++
				}
			}
		})
	}
	wg.Wait()
	transfers := 0
	for _, b := range n.blocks()[1:] {
		if diff := cmp.Diff(mined[b.Index], b); diff != "" {
			t.Errorf("block %d is not what was answered:\n%s", b.Index, diff)
		}
		transfers += len(b.Transactions) - 1
	}
	if len(mined) != 4*each || transfers != 4*each {
		t.Errorf("%d blocks with %d transfers", len(mined), transfers)
	}
}

// A search ends when its client leaves, and another's goes on.
func TestMiningEndsWithItsClient(t *testing.T) {
	rules := testRules(t, func(r *consensus.Rules) { r.Bits = 0x1a00ffff }) // hopeless
	n := newNode(t, nodeConfig{rules: rules})
	server := httptest.NewServer(n.handler)
	defer server.Close() // waits for handlers
	for _, body := range []string{"", "{}"} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/mine", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := http.DefaultClient.Do(r); err == nil {
			t.Error("an impossible block was mined")
		}
		cancel()
	}
}

// A node that is stopping says so.
func TestStopping(t *testing.T) {
	n := newNode(t, nodeConfig{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := n.doContext(ctx, "GET", "/mine", ""); got.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	} else {
		got.refused(503, "stopping")
	}
	n.chain.Close()
	a := n.post("/create-transaction", `{"sender":"a","recipient":"b","amount":1}`)
	a.refused(503, "stopping")
	if a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

// The tutorial's session: two nodes, the first learns of the second and takes
// over its chain.
func TestTwoNodes(t *testing.T) {
	first, second := newNode(t, nodeConfig{}), newNode(t, nodeConfig{})
	server := httptest.NewServer(second.handler)
	defer server.Close()
	first.post("/register-node", `{"address":"`+server.URL+`/"}`).
		is(201, `{"message":"New node has been added","node_count":1,"nodes":["`+server.URL+`"]}`)
	second.post("/create-transaction", `{"sender":"addr1","recipient":"addr2","amount":3}`)
	second.mine()

	type synced struct {
		Message    string             `json:"message"`
		Neighbours []client.Neighbour `json:"neighbours"`
		Chain      []client.Block     `json:"chain"`
	}
	a := first.get("/sync-chain")
	got := decode[synced](a)
	if got.Message != "Chain was replaced" || len(got.Neighbours) != 1 {
		t.Errorf("sync answered %+v", got)
	}
	if nb := got.Neighbours[0]; nb.Address != server.URL || nb.Result == "" || nb.Detail == "" {
		t.Errorf("the neighbour's line is %+v", nb)
	}
	if diff := cmp.Diff(second.blocks(), got.Chain); diff != "" || len(got.Chain) != 2 {
		t.Errorf("the chain is not the second node's:\n%s", diff)
	}
	if !strings.HasPrefix(a.body, `{"message":"Chain was replaced","neighbours":[{"address":"`) || !strings.HasSuffix(a.body, "]}\n") {
		t.Errorf("the answer is %s", a.body)
	}
	// A block's JSON is the same from every node.
	if one, two := first.get("/chain").body, second.get("/chain").body; one != two {
		t.Errorf("the nodes show\n%s and\n%s", one, two)
	}
	if got := decode[synced](first.get("/sync-chain")); got.Message != "Chain is already up to date" || len(got.Chain) != 2 {
		t.Errorf("syncing again answered %+v", got)
	}

	// A tie: each node keeps its own.
	first.mine()
	second.mine()
	before := first.blocks()
	if got := decode[synced](first.get("/sync-chain")); got.Message != "Chain is already up to date" || !cmp.Equal(got.Chain, before) {
		t.Errorf("on a tie sync answered %+v", got)
	}

	// Nothing that was submitted is lost with a block that loses.
	first.post("/create-transaction", `{"sender":"lost","recipient":"addr2","amount":1}`)
	first.mine()
	second.mine()
	second.mine()
	if got := decode[synced](first.get("/sync-chain")); got.Message != "Chain was replaced" {
		t.Errorf("sync answered %q", got.Message)
	}
	if got := first.mine().Transactions; len(got) != 2 || got[0].Sender != "lost" {
		t.Errorf("the block after the sync holds %+v", got)
	}
}

// One neighbour that is down costs a line.
func TestSyncWithDeadNeighbour(t *testing.T) {
	n, other := newNode(t, nodeConfig{}), newNode(t, nodeConfig{})
	other.mine()
	server := httptest.NewServer(other.handler)
	defer server.Close()
	dead := httptest.NewServer(nil)
	dead.Close()
	n.post("/register-node", `{"address":"`+dead.URL+`"}`)
	a := n.get("/sync-chain")
	if got := decode[client.Synced](a); got.Message != "No neighbour chain is available" || len(got.Neighbours) != 1 {
		t.Errorf("with a dead neighbour alone: %s", a.body)
	}
	n.post("/register-node", `{"address":"`+server.URL+`"}`)
	n.get("/sync-chain")
	if got := n.chain.Tip().Height; got != 1 {
		t.Errorf("the height is %d", got)
	}
}

func TestRegisterNode(t *testing.T) {
	n := newNode(t, nodeConfig{})
	for _, address := range []string{"http://a.example", "HTTP://A.example/", "http://a.example///"} {
		n.post("/register-node", `{"address":"`+address+`","extra":[1,{"x":null}]}`).
			is(201, `{"message":"New node has been added","node_count":1,"nodes":["http://a.example"]}`)
	}
	n.post("/register-node", `{"address":"https://b.example:1/some/path/"}`).
		is(201, `{"message":"New node has been added","node_count":2,"nodes":["http://a.example","https://b.example:1/some/path"]}`)
	n.unchanged(func() {
		for _, body := range []string{
			`{}`, `{"address":null}`, `{"address":5}`, `{"address":["http://x"]}`, `{"address":""}`, `{"address":"127.0.0.1:5001"}`,
			`{"address":"ftp://x"}`, `{"address":"http://"}`, `{"address":"http://u:p@x"}`, `{"address":"http://u@x"}`,
			`{"address":"http://x?"}`, `{"address":"http://x?a=b"}`, `{"address":"http://x#f"}`, `{"address":"http://x:0"}`,
			`{"address":"http://x:99999"}`, `{"address":"http://x y"}`, `{"address":"javascript:alert(1)"}`, `{"nodes":["http://x"]}`,
			`{"address":"http://` + strings.Repeat("x", 5000) + `"}`,
		} {
			n.post("/register-node", body).refused(422, "address")
		}
	})
	for i := range 254 {
		n.post("/register-node", fmt.Sprintf(`{"address":"http://n%d.example"}`, i))
	}
	n.unchanged(func() {
		n.post("/register-node", `{"address":"http://one-too-many.example"}`).refused(409, "256")
		if got := decode[client.Registered](n.post("/register-node", `{"address":"http://n7.example"}`)); got.NodeCount != 256 || len(got.Nodes) != 256 {
			t.Errorf("%d nodes", got.NodeCount)
		}
	})
}

// signedRules is a small network with signatures and money that is had before it
// is spent.
func signedRules(t testing.TB, owner types.Account) *consensus.Rules {
	return testRules(t, func(r *consensus.Rules) {
		r.Name, r.AddressPrefix, r.Signatures, r.CreditLimit, r.Decimals = "signed", "sig", true, 0, 2
		r.Reward = 100
		r.Allocations = []consensus.Allocation{{Account: owner, Amount: 5_000}}
	})
}

func TestSignedNetwork(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	owner := types.Account(public)
	rules := signedRules(t, owner)
	n := newNode(t, nodeConfig{rules: rules})
	n.unchanged(func() { n.get("/mine").refused(409, "--reward-to") })

	n = newNode(t, nodeConfig{rules: rules, recipient: owner})
	other, _, _ := ed25519.GenerateKey(nil)
	transfer := types.Transfer{Sender: owner, Recipient: types.Account(other), Amount: 125, Expiry: 10, Salt: 7}
	body := func(change func(map[string]any)) string {
		rules.Sign(&transfer, private)
		m := map[string]any{
			"sender": rules.FormatAccount(transfer.Sender), "recipient": rules.FormatAccount(transfer.Recipient),
			"amount": json.Number(rules.FormatAmount(transfer.Amount)), "expiry": transfer.Expiry, "salt": transfer.Salt,
			"signature": hex.EncodeToString(transfer.Signature[:]),
		}
		if change != nil {
			change(m)
		}
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	n.unchanged(func() {
		for _, key := range []string{"expiry", "salt", "signature"} {
			n.post("/create-transaction", body(func(m map[string]any) { delete(m, key) })).refused(422, key+" is missing")
		}
		n.post("/create-transaction", body(func(m map[string]any) { m["amount"] = 3 })).refused(422, "signature")
		n.post("/create-transaction", body(func(m map[string]any) { m["signature"] = strings.Repeat("0", 128) })).refused(422, "signature")
		n.post("/create-transaction", body(func(m map[string]any) { m["sender"] = "addr1" })).refused(422, "sender", "sig1")
		n.post("/create-transaction", body(func(m map[string]any) { m["recipient"] = "0" })).refused(422, "recipient", "0")
		n.post("/create-transaction", body(func(m map[string]any) { m["amount"] = json.Number("0.001") })).refused(422, "amount", "0")
		transfer.Amount = 5_001
		n.post("/create-transaction", body(nil)).refused(409, "send less")
		transfer.Amount = 125
	})
	n.post("/create-transaction", body(nil)).is(201, `{"message":"Transaction has been submitted successfully","block_index":1}`)
	want := []client.Transaction{
		{Amount: "1.25", Recipient: rules.FormatAccount(types.Account(other)), Sender: rules.FormatAccount(owner)},
		{Amount: "1", Recipient: rules.FormatAccount(owner), Sender: "0"},
	}
	if diff := cmp.Diff(want, n.mine().Transactions); diff != "" {
		t.Errorf("mined (-want +got):\n%s", diff)
	}
}

// Rules that depend on what accounts hold, or on what is pending.
func TestConflicts(t *testing.T) {
	rules := testRules(t, func(r *consensus.Rules) {
		r.CreditLimit, r.MinBalance = 0, 1_000
		r.Allocations = []consensus.Allocation{{Account: "rich", Amount: 10e8}, {Account: "full", Amount: types.MaxAmount - 20e8}}
		r.Reward = 0
	})
	n := newNode(t, nodeConfig{rules: rules})
	n.unchanged(func() {
		n.post("/create-transaction", `{"sender":"poor","recipient":"b","amount":1}`).refused(409, "below", "send less")
		n.post("/create-transaction", `{"sender":"rich","recipient":"b","amount":10,"fee":0.00000001}`).refused(409, "send less")
		n.post("/create-transaction", `{"sender":"rich","recipient":"b","amount":9.99999999}`).refused(409, "smallest")
		n.post("/create-transaction", `{"sender":"rich","recipient":"b","amount":0.00000999}`).refused(409, "smallest")
	})
	n.post("/create-transaction", `{"sender":"rich","recipient":"b","amount":6,"salt":5}`)
	n.unchanged(func() {
		n.post("/create-transaction", `{"sender":"rich","recipient":"b","amount":5}`).refused(409, "send less") // 4 are left
		n.post("/create-transaction", `{"sender":"rich","recipient":"b","amount":2,"salt":5}`).refused(409, "salt")
	})
	n.post("/create-transaction", `{"sender":"rich","recipient":"b","amount":2,"salt":5,"fee":0.001}`).is(201,
		`{"message":"Transaction has been submitted successfully","block_index":1}`)
	if got := n.mine().Transactions[0].Amount; got != "2" {
		t.Errorf("the transfer with the higher fee should have replaced the other; mined %s", got)
	}
}

// Nobody can hold more than the largest amount.
func TestBalanceLimit(t *testing.T) {
	n := newNode(t, nodeConfig{})
	n.post("/create-transaction", `{"sender":"a","recipient":"b","amount":90071992}`)
	n.mine()
	n.unchanged(func() {
		n.post("/create-transaction", `{"sender":"c","recipient":"b","amount":1}`).refused(409, "largest", "send less")
	})
}

func TestFullPool(t *testing.T) {
	n := newNode(t, nodeConfig{pool: mempool.Limits{Transfers: 2}})
	for range 2 {
		n.post("/create-transaction", `{"sender":"a","recipient":"b","amount":1,"fee":0.5}`)
	}
	n.unchanged(func() {
		a := n.post("/create-transaction", `{"sender":"a","recipient":"b","amount":1,"fee":0.1}`)
		a.refused(503, "fee")
		if a.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	})
	n.post("/create-transaction", `{"sender":"a","recipient":"b","amount":1,"fee":0.9}`).
		is(201, `{"message":"Transaction has been submitted successfully","block_index":1}`)
}
