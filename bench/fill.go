package bench

import (
	"context"
	"errors"
	"fmt"
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
// to its chain as they come from next, which is asked for one at a time.
func Fill(ctx context.Context, dir string, rules *consensus.Rules, blocks int, next func() *types.Block, progress func(done int)) error {
	return withChain(dir, rules, func(s *store.Store, m *chain.Manager) error {
		var run []*types.Block
		bytes := 0
		for i := range blocks {
			b := next()
			run = append(run, b)
			if bytes += b.Size(); bytes < 16<<20 && len(run) < 4096 && i < blocks-1 {
				continue
			}
			if err := m.AddBlocks(ctx, run); err != nil {
				return err
			}
			progress(i + 1)
			run, bytes = run[:0], 0
		}
		return nil
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

// TenEach returns the blocks of a chain of the network dev, each with ten
// transfers between accounts with names as long as the tutorial's.
func TenEach() func() *types.Block {
	return devLine(func(height uint32) []types.Transfer {
		ts := make([]types.Transfer, 10)
		for i := range ts {
			ts[i] = devTransfer(fmt.Sprintf("sender_%032x", height), fmt.Sprintf("recipient_%032x", i), height, i)
		}
		return ts
	})
}

// Newcomers returns the blocks of a chain of the network dev, each with a transfer
// to an account that is new.
func Newcomers() func() *types.Block {
	return devLine(func(height uint32) []types.Transfer {
		return []types.Transfer{devTransfer("faucet", fmt.Sprint("account_", height), height, 0)}
	})
}

func devLine(transfers func(height uint32) []types.Transfer) func() *types.Block {
	line := chaintest.NewLine(consensus.Dev())
	return func() *types.Block {
		return line.Next(chaintest.Spec{Transfers: transfers(line.Height() + 1)})
	}
}

func devTransfer(sender, recipient string, height uint32, i int) types.Transfer {
	return types.Transfer{
		Sender: types.Account(sender), Recipient: types.Account(recipient),
		Amount: 300_000_000, Expiry: height + 100, Salt: uint64(height)<<8 | uint64(i),
	}
}

func (r *run) fillTenEach() (string, error) { return r.fill("ten-each", r.blocks, TenEach()) }

func (r *run) fillNewcomers() (string, error) { return r.fill("newcomers", r.longChain, Newcomers()) }

func (r *run) fill(name string, blocks int, next func() *types.Block) (dir string, err error) {
	dir = filepath.Join(r.dir, name)
	return dir, Fill(r.ctx, dir, consensus.Dev(), blocks, next, func(done int) { r.progress("making a chain", done, blocks) })
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
