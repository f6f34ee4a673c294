package bench

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"time"

	"cairn/archive"
	"cairn/chain"
	"cairn/chain/chaintest"
	"cairn/consensus"
	"cairn/store"
	"cairn/types"
)

// Fill makes a data directory of the network that rules describe and adds blocks
// to its chain. progress is told how many are added.
func Fill(ctx context.Context, dir string, rules *consensus.Rules, blocks iter.Seq[*types.Block], progress func(done int)) error {
	return withChain(dir, rules, func(_ *store.Store, m *chain.Manager) error {
		var run []*types.Block
		done, bytes := 0, 0
		add := func() error {
			if err := m.AddBlocks(ctx, run); err != nil {
				return err
			}
			done += len(run)
			progress(done)
			run, bytes = nil, 0
			return nil
		}
		for b := range blocks {
			run = append(run, b)
			if bytes += b.Size(); bytes < 16<<20 && len(run) < 4096 {
				continue
			}
			if err := add(); err != nil {
				return err
			}
		}
		return add()
	})
}

// withChain opens a directory, or makes it, for as long as use takes.
func withChain(dir string, rules *consensus.Rules, use func(*store.Store, *chain.Manager) error) error {
	s, err := store.Create(dir, rules, store.Options{})
	if errors.Is(err, store.ErrExists) {
		s, err = store.Open(dir, store.Options{})
	}
	if err != nil {
		return err
	}
	m, err := chain.New(chain.Config{Store: s})
	if err == nil {
		err = errors.Join(use(s, m), m.Close())
	}
	return errors.Join(err, s.Close())
}

// TenEach makes blocks of the network dev, each with ten transfers between
// accounts with names as long as the tutorial's.
func TenEach(count int) iter.Seq[*types.Block] {
	return devBlocks(count, func(height uint32) []types.Transfer {
		ts := make([]types.Transfer, 10)
		for i := range ts {
			ts[i] = devTransfer(fmt.Sprintf("sender_%032x", height), fmt.Sprintf("recipient_%032x", i), height, i)
		}
		return ts
	})
}

// Newcomers makes blocks of the network dev, each with a transfer to an account
// that is new.
func Newcomers(count int) iter.Seq[*types.Block] {
	return devBlocks(count, func(height uint32) []types.Transfer {
		return []types.Transfer{devTransfer("faucet", fmt.Sprint("account_", height), height, 0)}
	})
}

func devBlocks(count int, transfers func(height uint32) []types.Transfer) iter.Seq[*types.Block] {
	return func(yield func(*types.Block) bool) {
		line := chaintest.NewLine(consensus.Dev())
		for height := uint32(1); height <= uint32(count); height++ {
			if !yield(line.Next(chaintest.Spec{Transfers: transfers(height)})) {
				return
			}
		}
	}
}

// crowdBlocks returns full blocks of signed transfers, and the rules of their
// network. What made them is not kept: its memory is not the node's.
func (r *run) crowdBlocks(count int) (*consensus.Rules, []*types.Block) {
	r.progress("making full blocks", 0, count)
	crowd := chaintest.NewCrowd(r.accounts)
	line := chaintest.NewLine(crowd.Rules)
	var blocks []*types.Block
	for i := range count {
		blocks = append(blocks, line.Next(chaintest.Spec{Miner: crowd.Account(0), Transfers: crowd.Transfers(chaintest.PerBlock, line.Height())}))
		r.progress("making full blocks", i+1, count)
	}
	return crowd.Rules, blocks
}

func devTransfer(sender, recipient string, height uint32, i int) types.Transfer {
	return types.Transfer{
		Sender: types.Account(sender), Recipient: types.Account(recipient),
		Amount: 300_000_000, Expiry: height + 100, Salt: uint64(height)<<8 | uint64(i),
	}
}

func (r *run) fillTenEach() (string, error) { return r.fill("ten-each", r.blocks, TenEach(r.blocks)) }

func (r *run) fillNewcomers() (string, error) {
	return r.fill("newcomers", r.longChain, Newcomers(r.longChain))
}

func (r *run) fill(name string, count int, blocks iter.Seq[*types.Block]) (dir string, err error) {
	dir = filepath.Join(r.dir, name)
	return dir, Fill(r.ctx, dir, consensus.Dev(), blocks, func(done int) { r.progress("making a chain", done, count) })
}

// export writes the chain in dir as a block file and returns its name.
func (r *run) export(dir string) (file string, err error) {
	file = dir + ".cairn"
	f, err := os.Create(file)
	if err != nil {
		return "", err
	}
	s, err := store.Open(dir, store.Options{})
	if err == nil {
		err = errors.Join(archive.Export(r.ctx, s, f, nil), s.Close())
	}
	return file, errors.Join(err, f.Close())
}

// importFile adds the blocks of a file to a new chain and returns how long that
// took, and how much processor time.
func (r *run) importFile(file string) (elapsed, cpu time.Duration, err error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	blocks, err := archive.NewReader(f)
	if err != nil {
		return 0, 0, err
	}
	dir := filepath.Join(r.dir, "imported")
	defer os.RemoveAll(dir)
	err = withChain(dir, blocks.Rules(), func(_ *store.Store, m *chain.Manager) error {
		start, before := time.Now(), processorTime()
		_, err := archive.Import(r.ctx, m, blocks, nil)
		elapsed, cpu = time.Since(start), processorTime()-before
		return err
	})
	return elapsed, cpu, err
}
