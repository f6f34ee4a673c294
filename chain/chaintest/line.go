package chaintest

import (
	"crypto/ed25519"
	"encoding/binary"
	"iter"
	"runtime"
	"sync"

	"cairn/consensus"
	"cairn/types"
)

// Line makes one block after another and keeps only the last, so that a chain can
// be longer than memory. It is not safe for concurrent use.
type Line struct {
	rules *consensus.Rules
	tip   *node
}

// NewLine returns a line that begins at the genesis block of rules.
func NewLine(rules *consensus.Rules) *Line { return &Line{rules, genesis(rules)} }

// Height returns the height of the last block.
func (l *Line) Height() uint32 { return l.tip.state.Height }

// Next makes the next block, which is to be valid.
func (l *Line) Next(spec Spec) *types.Block {
	l.tip = l.tip.child(l.rules, spec, uint64(l.Height()))
	return l.tip.block
}

// Crowd is a network with signatures whose accounts pay each other in turn. Two
// of the same size are alike to the last bit. It is not safe for concurrent use.
type Crowd struct {
	Rules   *consensus.Rules
	line    *Line
	keys    [][ed25519.PublicKeySize]byte
	settled int // accounts that have something
	made    int // transfers
}

// PerBlock is how many of a crowd's transfers fill a block.
const PerBlock = 4800

// founders have a balance from the start. All others get theirs from them, since
// a genesis file is not made for millions.
const founders = 1024

// NewCrowd returns a network of that many accounts. Those beyond the founders have
// nothing before the blocks of Settle.
func NewCrowd(accounts int) *Crowd {
	c := &Crowd{keys: make([][ed25519.PublicKeySize]byte, accounts), settled: min(accounts, founders)}
	onAllCores(accounts, func(i int) {
		copy(c.keys[i][:], ed25519.NewKeyFromSeed(seed(i)).Public().(ed25519.PublicKey))
	})
	allocations := make([]consensus.Allocation, c.settled)
	for i := range allocations {
		allocations[i] = consensus.Allocation{Account: c.Account(i), Amount: 1 << 42}
	}
	c.Rules = must(consensus.NewRules(consensus.Rules{
		Name: "crowd", Symbol: "CROWD", AddressPrefix: "crowd",
		Time: 1_767_225_600, Bits: 0x207fffff, BlockInterval: 10, HalfLife: 120,
		Reward: 50, MaxBlockSize: 1_000_000, TxLifetime: 8640, Signatures: true,
		Allocations: allocations,
	}))
	c.line = NewLine(c.Rules)
	return c
}

// Account returns the account of that number.
func (c *Crowd) Account(i int) types.Account { return types.Account(c.keys[i][:]) }

// Settle makes the blocks in which the accounts that have nothing get something.
func (c *Crowd) Settle() iter.Seq[*types.Block] {
	return func(yield func(*types.Block) bool) {
		for more := true; more && c.settled < len(c.keys); {
			first, count := c.settled, min(PerBlock, len(c.keys)-c.settled)
			c.settled += count
			more = yield(c.next(count, func(i int) (sender, recipient int, amount uint64) {
				return (first + i) % founders, first + i, 1 << 24
			}))
		}
	}
}

// Next makes the next full block, in which every account pays another one in turn.
func (c *Crowd) Next() *types.Block {
	first := c.made
	return c.next(PerBlock, func(i int) (sender, recipient int, amount uint64) {
		n := first + i
		return n % len(c.keys), (n*7 + 1) % len(c.keys), 1000
	})
}

// next makes a block of transfers that are signed on all cores.
func (c *Crowd) next(count int, pay func(i int) (sender, recipient int, amount uint64)) *types.Block {
	ts := make([]types.Transfer, count)
	onAllCores(count, func(i int) {
		sender, recipient, amount := pay(i)
		ts[i] = types.Transfer{
			Sender: c.Account(sender), Recipient: c.Account(recipient), Amount: amount,
			Fee: 10, Expiry: c.line.Height() + 100, Salt: uint64(c.made+i) * 0x9e3779b97f4a7c15,
		}
		c.Rules.Sign(&ts[i], append(seed(sender), ts[i].Sender...))
	})
	c.made += count
	return c.line.Next(Spec{Miner: c.Account(0), Transfers: ts})
}

// seed is what the key of an account is made from. Together with the public key
// it is the private one.
func seed(i int) []byte {
	return binary.LittleEndian.AppendUint64(make([]byte, 0, ed25519.PrivateKeySize), uint64(i))[:ed25519.SeedSize]
}

// onAllCores calls do for each number below count.
func onAllCores(count int, do func(i int)) {
	var wg sync.WaitGroup
	cores := runtime.GOMAXPROCS(0)
	for core := range cores {
		wg.Go(func() {
			for i := core; i < count; i += cores {
				do(i)
			}
		})
	}
	wg.Wait()
}
