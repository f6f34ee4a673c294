package proof

import (
	"crypto/ed25519"
	"errors"
	"math"

	"cairn/accounts"
	"cairn/chain/chaintest"
	"cairn/consensus"
	"cairn/history"
	"cairn/types"
)

// late is a clock by which no header is too new.
const late = math.MaxUint32

// fatal is what testing.TB and rapid.T have in common here.
type fatal interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// testChain keeps what a node keeps of one branch, by height.
type testChain struct {
	rules  *consensus.Rules
	line   *chaintest.Line
	blocks []*types.Block
	states []consensus.State
	trees  []accounts.Tree // after the block
	before [][32]byte      // history root before the block
	ranged history.Range
	nodes  map[nodeAt][32]byte
}

// nodeAt is the place of a node of the history.
type nodeAt struct {
	level uint8
	index uint32
}

func newChain(t fatal, rules *consensus.Rules) *testChain {
	t.Helper()
	tree, err := accounts.New(nil).Update(consensus.LeavesAfter(rules.GenesisBalances()))
	if err != nil {
		t.Fatal(err)
	}
	c := &testChain{rules: rules, line: chaintest.NewLine(rules), nodes: map[nodeAt][32]byte{}}
	c.keep(rules.Genesis(), rules.GenesisState(), tree)
	return c
}

func (c *testChain) keep(b *types.Block, s consensus.State, tree accounts.Tree) {
	c.blocks, c.states, c.trees = append(c.blocks, b), append(c.states, s), append(c.trees, tree)
	c.before = append(c.before, c.ranged.Root())
	var nodes []history.Node
	c.ranged, nodes = c.ranged.Append(s.HistoryLeaf().Sum())
	for _, n := range nodes {
		c.nodes[nodeAt{n.Level, n.Index}] = n.Sum
	}
}

func (c *testChain) read(level uint8, index uint32) ([32]byte, error) {
	sum, ok := c.nodes[nodeAt{level, index}]
	if !ok {
		return sum, errors.New("no such node")
	}
	return sum, nil
}

func (c *testChain) tip() uint32 { return uint32(len(c.blocks) - 1) }

func (c *testChain) balance(t fatal, height uint32, a types.Account) int64 {
	t.Helper()
	balance, err := c.trees[height].Get(accounts.KeyOf(a))
	if err != nil {
		t.Fatal(err)
	}
	return balance
}

// add makes a block, and applies it as a node does.
func (c *testChain) add(t fatal, miner types.Account, transfers ...types.Transfer) {
	t.Helper()
	b := c.line.Next(chaintest.Spec{Miner: miner, Transfers: transfers})
	height := c.tip() + 1
	state, err := c.rules.ValidateHeader(c.states[c.tip()], b.Header, late)
	if err != nil {
		t.Fatal(err)
	}
	body, err := c.rules.CheckBody(height, b)
	if err == nil {
		err = c.rules.VerifySignatures(b.Transfers, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	tree, balances, err := body.Balances(c.trees[c.tip()])
	if err != nil {
		t.Fatal(err)
	}
	changes, err := c.rules.ApplyBody(balances, body)
	if err != nil {
		t.Fatal(err)
	}
	if tree, err = tree.Update(consensus.LeavesAfter(changes)); err != nil {
		t.Fatal(err)
	}
	c.keep(b, state, tree)
	if err := c.rules.CheckCommitment(body, tree.Root(), c.before[height]); err != nil {
		t.Fatal(err)
	}
}

// document returns headers from first to last, with a start and its commitment
// where first is not 1.
func (c *testChain) document(t fatal, first, last uint32) *Document {
	t.Helper()
	d := &Document{Rules: c.rules}
	for _, b := range c.blocks[first : last+1] {
		d.Headers = append(d.Headers, b.Header)
	}
	if first > 1 {
		var err error
		if d.Start, err = StartAfter(c.states[first-1], c.read); err != nil {
			t.Fatal(err)
		}
		c.commit(d, first)
	}
	return d
}

// commit adds the commitments of blocks, which ascend.
func (c *testChain) commit(d *Document, heights ...uint32) {
	for _, height := range heights {
		d.Commitments = append(d.Commitments, CommitmentOf(c.blocks[height], c.trees[height].Root(), c.before[height]))
	}
}

func (c *testChain) block(t fatal, n, height uint32) *Block {
	t.Helper()
	b, err := BlockBefore(n, c.blocks[height].Header, c.states[height], c.read)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (c *testChain) account(t fatal, a types.Account, height uint32) *Account {
	t.Helper()
	account, err := AccountIn(c.trees[height], a, height)
	if err != nil {
		t.Fatal(err)
	}
	return account
}

// place returns what a document up to last says of a block that the one at from
// and its descendants vouch for.
func (c *testChain) place(height, from, last uint32) Place {
	p := Place{
		BlockHash: c.states[height].Hash, Height: height, BlockTime: c.states[height].Time,
		Confirmations: last - height + 1,
	}
	for _, s := range c.states[from : last+1] {
		p.WorkOnTop = p.WorkOnTop.Add(consensus.WorkOf(s.Bits))
	}
	return p
}

// key returns the key of the person of that number.
func key(i int) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = byte(i)
	return ed25519.NewKeyFromSeed(seed)
}

func person(i int) types.Account { return types.Account(key(i).Public().(ed25519.PublicKey)) }

// pay makes a signed transfer between two people.
func (c *testChain) pay(from, to int, amount, salt uint64) types.Transfer {
	t := types.Transfer{
		Sender: person(from), Recipient: person(to), Amount: amount, Fee: 10,
		Expiry: c.tip() + 50, Salt: salt, Memo: "for <you>",
	}
	c.rules.Sign(&t, key(from))
	return t
}

// signedRules are a network with signatures where people 0 to 3 have money, and a
// block takes about as many hashes as the bits say.
func signedRules(t fatal, bits uint32) *consensus.Rules {
	t.Helper()
	r := consensus.Rules{
		Name: "proof", Symbol: "PROOF", Decimals: 2, AddressPrefix: "proof",
		Time: 1_767_225_600, Bits: bits, BlockInterval: 10, HalfLife: 120,
		Reward: 50, MaxBlockSize: 100_000, TxLifetime: 100, Signatures: true,
	}
	for i := range 4 {
		r.Allocations = append(r.Allocations, consensus.Allocation{Account: person(i), Amount: 1_000_000})
	}
	rules, err := consensus.NewRules(r)
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

// The people of smallChain who are paid something, and one who never is.
const (
	ann, bob, dan = 0, 1, 4
	miner         = 5
	nobody        = 9
)

// smallChain has eight blocks, each harder to find than a changed bit could be by
// chance. In block 3 there are four transfers, in block 6 there is one.
func smallChain(t fatal) *testChain {
	t.Helper()
	c := newChain(t, signedRules(t, 0x1f00ffff))
	for height := range 8 {
		switch height + 1 {
		case 3:
			c.add(t, person(miner), c.pay(ann, bob, 100, 1), c.pay(bob, dan, 250, 2), c.pay(ann, dan, 7, 3), c.pay(2, 3, 1, 4))
		case 6:
			c.add(t, person(miner), c.pay(bob, ann, 40, 5))
		default:
			c.add(t, person(miner))
		}
	}
	return c
}

// fullDocument shows bob's payment to dan in block 3, and what ann had after block 5.
func fullDocument(t fatal, c *testChain) *Document {
	t.Helper()
	d := c.document(t, 1, 8)
	c.commit(d, 5)
	d.Transaction = TransactionOf(c.blocks[3], 2)
	d.Account = c.account(t, person(ann), 5)
	return d
}

// startDocument shows the same payment from a block before its headers, and that
// nobody had nothing after block 7.
func startDocument(t fatal, c *testChain) *Document {
	t.Helper()
	d := c.document(t, 6, 8)
	c.commit(d, 7)
	d.Block = c.block(t, 7, 3)
	d.Transaction = TransactionOf(c.blocks[3], 2)
	d.Account = c.account(t, person(nobody), 7)
	return d
}

// rewardDocument shows what the miner of block 7 was paid.
func rewardDocument(t fatal, c *testChain) *Document {
	t.Helper()
	d := c.document(t, 6, 8)
	d.Transaction = TransactionOf(c.blocks[7], 0)
	return d
}

// blockDocument shows no more than that there is a block 4.
func blockDocument(t fatal, c *testChain) *Document {
	t.Helper()
	d := c.document(t, 6, 8)
	d.Block = c.block(t, 6, 4)
	return d
}

// copyOf returns a document that shares nothing with d.
func copyOf(t fatal, d *Document) *Document {
	t.Helper()
	parsed, err := Parse(d.Encode())
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}
