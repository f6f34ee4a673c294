package chain

import (
	"slices"
	"sync"

	"cairn/consensus"
	"cairn/mempool"
	"cairn/types"
)

// feeTargets are the numbers of blocks within which an estimate is to hold.
var feeTargets = []uint32{1, 2, 5, 10}

// recentBlocks is how many blocks an estimate looks back.
const recentBlocks = 6

// FeeBand is a part of the pool that is as large as a block, or the rest.
type FeeBand struct {
	Lowest, Highest uint64 // fee rates, in base units for 1,000 bytes
	Transfers       int
	Bytes           int // of encodings
}

// FeeEstimate is the least fee rate, in base units for 1,000 bytes, at which a
// transfer would be among the next Blocks blocks as things are.
type FeeEstimate struct {
	Blocks uint32
	Rate   uint64
}

// Fees says what a place in a block costs.
type Fees struct {
	Least     uint64        // rate that this node asks for
	Estimates []FeeEstimate // ascending by blocks
	Bands     []FeeBand     // the pool by blocks, the best first; at most maxAhead
	Beyond    int           // transfers behind the bands
}

// Fees returns what a place in a block costs: from the pool, cut into blocks, and
// from the latest blocks, where those were full.
func (m *Manager) Fees() (Fees, error) {
	pool, _ := m.PoolSnapshot()
	f := Fees{Least: m.PoolLimits().MinFeeRate}
	room := int(m.rules.MaxBlockSize)
	counted := 0
	for e := range pool.Best() {
		if len(f.Bands) == 0 || f.Bands[len(f.Bands)-1].Bytes+e.Size > room {
			if len(f.Bands) == maxAhead {
				break
			}
			f.Bands = append(f.Bands, FeeBand{Highest: e.Rate()})
		}
		band := &f.Bands[len(f.Bands)-1]
		band.Lowest = e.Rate()
		band.Transfers++
		band.Bytes += e.Size
		counted++
	}
	f.Beyond = pool.Len() - counted
	lately, err := m.lately()
	if err != nil {
		return f, err
	}
	for _, blocks := range feeTargets {
		rate := f.Least
		if len(f.Bands) > int(blocks) { // else there is room
			rate = max(rate, f.Bands[blocks-1].Lowest+1)
		}
		if blocks <= recentBlocks/2 {
			rate = max(rate, lately)
		}
		f.Estimates = append(f.Estimates, FeeEstimate{blocks, rate})
	}
	return f, nil
}

// lately returns what the median of the latest blocks asked for: the lowest rate in
// it where it was full, 0 where there was room.
func (m *Manager) lately() (uint64, error) {
	snapshot, err := m.Snapshot()
	if err != nil {
		return 0, err
	}
	defer snapshot.Close()
	var rates []uint64
	for height := snapshot.Tip.Height; height > 0 && len(rates) < recentBlocks; height-- {
		hash, err := snapshot.BestHash(height)
		if err != nil {
			return 0, err
		}
		rate, err := m.blockRates.of(hash, func() (uint64, error) {
			block, err := snapshot.Block(height, hash)
			if err != nil {
				return 0, err
			}
			return lowestRate(m.rules, block), nil
		})
		if err != nil {
			return 0, err
		}
		rates = append(rates, rate)
	}
	if len(rates) == 0 {
		return 0, nil
	}
	slices.Sort(rates)
	return rates[len(rates)/2], nil
}

// lowestRate returns the lowest fee rate in a block that is full to nine tenths, 0
// for others.
func lowestRate(rules *consensus.Rules, block *types.Block) uint64 {
	if block.Size() < int(rules.MaxBlockSize)/10*9 || len(block.Transfers) == 0 {
		return 0
	}
	lowest := mempool.RateOf(block.Transfers[0].Fee, block.Transfers[0].Size())
	for i := range block.Transfers {
		lowest = min(lowest, mempool.RateOf(block.Transfers[i].Fee, block.Transfers[i].Size()))
	}
	return lowest
}

// blockRates remembers the rates of the latest blocks, which never change.
type blockRates struct {
	mu    sync.Mutex
	rates map[types.Hash]uint64
}

func (b *blockRates) of(hash types.Hash, find func() (uint64, error)) (uint64, error) {
	b.mu.Lock()
	rate, ok := b.rates[hash]
	b.mu.Unlock()
	if ok {
		return rate, nil
	}
	rate, err := find()
	if err != nil {
		return 0, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rates == nil || len(b.rates) >= 4*recentBlocks {
		b.rates = make(map[types.Hash]uint64)
	}
	b.rates[hash] = rate
	return rate, nil
}
