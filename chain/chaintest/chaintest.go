// Package chaintest builds chains for tests and benchmarks: of named blocks
// (Builder), or of more than one wants to keep (Line). It does without package
// chain, on purpose: a block made here is what another program would send.
//
// A block is valid unless its Spec spoils it. Blocks are made fast: the rules
// should have an easy target.
package chaintest

import (
	"encoding/binary"
	"fmt"

	"cairn/accounts"
	"cairn/consensus"
	"cairn/history"
	"cairn/types"
)

// Genesis is the name of the first block.
const Genesis = "genesis"

// Builder holds every block that it made, by name. Its zero value is not usable:
// see New. It is not safe for concurrent use.
type Builder struct {
	Rules  *consensus.Rules
	blocks map[string]*node
	count  uint64
}

// node is a block with the state after it.
type node struct {
	block   *types.Block
	state   consensus.State
	tree    accounts.Tree // all of it in memory, shared with the parent's
	history history.Range
}

// Spec says how a block differs from an empty one, a block interval after its
// parent, that pays its reward to Miner.
type Spec struct {
	Transfers []types.Transfer
	Miner     types.Account // default: Miner
	Interval  uint32        // seconds after the parent; 0: a block interval
	Instant   bool          // at the time of the parent
	Bits      uint32        // default: the easiest that the rules allow
	// Spoil changes the block before it is committed to and mined.
	Spoil func(*types.Block)
	// Tamper changes the block after that: it is mined again, but the Merkle
	// root and the commitment stay.
	Tamper func(*types.Block)
}

// Miner is whom blocks pay by default on networks without signatures.
const Miner types.Account = "miner"

// New returns a builder that knows the genesis block of rules.
func New(rules *consensus.Rules) *Builder {
	return &Builder{Rules: rules, blocks: map[string]*node{Genesis: genesis(rules)}}
}

func genesis(rules *consensus.Rules) *node {
	n := &node{
		block: rules.Genesis(),
		state: rules.GenesisState(),
		tree:  accounts.New(nil),
	}
	n.apply(rules.GenesisBalances())
	n.history, _ = n.history.Append(n.state.HistoryLeaf().Sum())
	return n
}

// apply enters changes into the tree.
func (n *node) apply(changes []consensus.Change) {
	n.tree = must(n.tree.Update(consensus.LeavesAfter(changes)))
}

// Add makes the block called name on the one called parent. A block that Spoil
// or Tamper made invalid can have no children. It panics where the spec breaks a
// rule without being told to: a test that does is wrong.
func (b *Builder) Add(name, parent string, spec Spec) *types.Block {
	p := b.node(parent)
	if b.blocks[name] != nil {
		panic("chaintest: two blocks named " + name)
	}
	b.count++ // makes equal specs different blocks
	n := p.child(b.Rules, spec, b.count)
	b.blocks[name] = n
	return n.block
}

// child makes the next block, which extra tells from its like.
func (n *node) child(rules *consensus.Rules, spec Spec, extra uint64) *node {
	c := &node{block: n.draft(rules, spec, extra)}
	c.seal(rules, n, spec)
	mine(&c.block.Header)
	if spec.Tamper != nil {
		spec.Tamper(c.block)
		mine(&c.block.Header)
	}
	if spec.Spoil == nil && spec.Tamper == nil {
		c.state = must(rules.ValidateHeader(n.state, c.block.Header, uint64(c.block.Header.Time)))
		c.history, _ = n.history.Append(c.state.HistoryLeaf().Sum())
	}
	return c
}

// draft fills in what needs no balances.
func (n *node) draft(rules *consensus.Rules, spec Spec, extra uint64) *types.Block {
	interval, miner := spec.Interval, spec.Miner
	if interval == 0 && !spec.Instant {
		interval = rules.BlockInterval
	}
	if miner == "" {
		miner = Miner
	}
	time := n.state.Time + interval
	bits := spec.Bits
	if bits == 0 {
		bits = rules.AllowedBits(n.state, time)
	}
	height := n.state.Height + 1
	reward := rules.Subsidy(height)
	for _, t := range spec.Transfers {
		reward += t.Fee
	}
	return &types.Block{
		Header: types.Header{Version: 0x20000000, Previous: n.state.Hash, Time: time, Bits: bits},
		Reward: types.Reward{
			Height:    height,
			Extra:     binary.LittleEndian.AppendUint64(nil, extra),
			Amount:    reward,
			Recipient: miner,
		},
		Transfers: spec.Transfers,
	}
}

// seal applies the block and commits to the result. What Spoil made
// inapplicable commits to the parent's balances.
func (n *node) seal(rules *consensus.Rules, p *node, spec Spec) {
	if spec.Spoil != nil {
		spec.Spoil(n.block)
	}
	n.tree = p.tree
	ids := n.block.IDs()
	body := &consensus.Body{Block: n.block, Height: p.state.Height + 1, Layout: consensus.LayOut(n.block)}
	balances := make([]int64, len(body.Parties))
	for i, party := range body.Parties {
		balances[i] = p.balance(party.Account)
	}
	changes, err := rules.ApplyBody(balances, body)
	if err != nil && spec.Spoil == nil {
		panic(fmt.Sprintf("chaintest: the spec is not applicable: %v", err))
	}
	n.apply(changes)
	n.block.Reward.Commitment = consensus.Commitment(n.tree.Root(), p.history.Root())
	ids[0] = n.block.Reward.ID()
	n.block.Header.MerkleRoot, _ = types.MerkleRoot(ids)
}

// Chain makes count empty blocks name1, name2, … on parent and returns them.
func (b *Builder) Chain(name, parent string, count int, spec Spec) []*types.Block {
	var blocks []*types.Block
	for i := range count {
		next := fmt.Sprintf("%s%d", name, i+1)
		blocks = append(blocks, b.Add(next, parent, spec))
		parent = next
	}
	return blocks
}

// Block returns the block of that name.
func (b *Builder) Block(name string) *types.Block { return b.node(name).block }

// Blocks returns the blocks of those names.
func (b *Builder) Blocks(names ...string) []*types.Block {
	var blocks []*types.Block
	for _, name := range names {
		blocks = append(blocks, b.Block(name))
	}
	return blocks
}

// Hash returns the hash of the block of that name.
func (b *Builder) Hash(name string) types.Hash { return b.node(name).block.Header.Hash() }

// State returns the state after the valid block of that name.
func (b *Builder) State(name string) consensus.State { return b.node(name).state }

// Balance returns the balance of an account after the block of that name.
func (b *Builder) Balance(name string, a types.Account) int64 { return b.node(name).balance(a) }

func (n *node) balance(a types.Account) int64 { return must(n.tree.Get(accounts.KeyOf(a))) }

// Name returns the name of a block, or its hash where it has none here.
func (b *Builder) Name(hash types.Hash) string {
	for name, n := range b.blocks {
		if n.block.Header.Hash() == hash {
			return name
		}
	}
	return hash.String()
}

func (b *Builder) node(name string) *node {
	if n := b.blocks[name]; n != nil {
		return n
	}
	panic("chaintest: no block named " + name)
}

// mine searches from the nonce that is there.
func mine(h *types.Header) {
	target := must(consensus.CompactToTarget(h.Bits))
	for !target.Meets(h.Hash()) {
		h.Nonce++
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(fmt.Sprintf("chaintest: %v", err))
	}
	return v
}
