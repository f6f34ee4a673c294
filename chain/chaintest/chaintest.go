// Package chaintest builds chains of named blocks for tests and benchmarks. It
// does without package chain, on purpose: a block made here is what another
// program would send.
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
	b := &Builder{Rules: rules, blocks: make(map[string]*node)}
	genesis := &node{
		block: rules.Genesis(),
		state: rules.GenesisState(),
		tree:  accounts.New(nil),
	}
	genesis.apply(rules.GenesisBalances())
	genesis.history, _ = genesis.history.Append(genesis.state.HistoryLeaf().Sum())
	b.blocks[Genesis] = genesis
	return b
}

// apply enters changes into the tree.
func (n *node) apply(changes []consensus.Change) {
	var leaves []accounts.Leaf
	for _, c := range changes {
		leaves = append(leaves, accounts.Leaf{Key: accounts.KeyOf(c.Account), Balance: c.After})
	}
	n.tree = must(n.tree.Update(leaves))
}

// Add makes the block called name on the one called parent. A block that Spoil
// or Tamper made invalid can have no children. It panics where the spec breaks a
// rule without being told to: a test that does is wrong.
func (b *Builder) Add(name, parent string, spec Spec) *types.Block {
	p := b.node(parent)
	if b.blocks[name] != nil {
		panic("chaintest: two blocks named " + name)
	}
	n := &node{block: b.draft(p, spec)}
	n.seal(b.Rules, p, spec)
	mine(&n.block.Header)
	if spec.Tamper != nil {
		spec.Tamper(n.block)
		mine(&n.block.Header)
	}
	b.blocks[name] = n
	if spec.Spoil == nil && spec.Tamper == nil {
		n.state = must(b.Rules.ValidateHeader(p.state, n.block.Header, uint64(n.block.Header.Time)))
		n.history, _ = p.history.Append(n.state.HistoryLeaf().Sum())
	}
	return n.block
}

// draft fills in what needs no state.
func (b *Builder) draft(p *node, spec Spec) *types.Block {
	b.count++ // makes equal specs different blocks
	interval, miner := spec.Interval, spec.Miner
	if interval == 0 && !spec.Instant {
		interval = b.Rules.BlockInterval
	}
	if miner == "" {
		miner = Miner
	}
	time := p.state.Time + interval
	bits := spec.Bits
	if bits == 0 {
		bits = b.Rules.AllowedBits(p.state, time)
	}
	height := p.state.Height + 1
	reward := b.Rules.Subsidy(height)
	for _, t := range spec.Transfers {
		reward += t.Fee
	}
	return &types.Block{
		Header: types.Header{Version: 0x20000000, Previous: p.state.Hash, Time: time, Bits: bits},
		Reward: types.Reward{
			Height:    height,
			Extra:     binary.LittleEndian.AppendUint64(nil, b.count),
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
	body := &consensus.Body{Block: n.block, Height: p.state.Height + 1, IDs: ids, Size: n.block.Size()}
	touched := make(consensus.Balances)
	for _, a := range consensus.Touched(n.block) {
		touched[a] = p.balance(a)
	}
	changes, err := rules.ApplyBody(touched, body)
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
