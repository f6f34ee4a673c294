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
	err := withChain(dir, rules, func(_ *store.Store, m *chain.Manager) error {
		return add(ctx, m, func(yield func(chain.Incoming) bool) {
			done := 0
			for b := range blocks {
				if !yield(chain.Incoming{Block: b}) {
					return
				}
				done++
				progress(done)
			}
		})
	})
	if err != nil {
		return err
	}
	// The next open waits for a compaction, if so much was written. A node that has
	// run for a while has none to do.
	return withChain(dir, rules, func(*store.Store, *chain.Manager) error { return nil })
}

// add adds blocks in runs as long as those of an import.
func add(ctx context.Context, m *chain.Manager, blocks iter.Seq[chain.Incoming]) error {
	return m.AddRuns(ctx, func(yield func([]chain.Incoming) bool) {
		var run []chain.Incoming
		bytes := 0
		for b := range blocks {
			run = append(run, b)
			if bytes += len(b.Encoding); b.Block != nil {
				bytes += b.Block.Size()
			}
			if bytes >= 16<<20 || len(run) >= 4096 {
				if !yield(run) {
					return
				}
				run, bytes = nil, 0
			}
		}
		if len(run) > 0 {
			yield(run)
		}
	}, nil)
}

// options are a node's.
var options = store.Options{CacheBytes: 64 << 20}

// withChain opens a directory, or makes it, for as long as use takes.
func withChain(dir string, rules *consensus.Rules, use func(*store.Store, *chain.Manager) error) error {
	s, err := store.Create(dir, rules, options)
	if errors.Is(err, store.ErrExists) {
		s, err = store.Open(dir, options)
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

// crowd makes a data directory in which a crowd has settled, and returns it with
// the rules of its network and the full blocks that are to follow. What made them
// is not kept: its memory is not the node's.
func (r *run) crowd(name string, count int) (dir string, rules *consensus.Rules, blocks []*types.Block, err error) {
	dir = filepath.Join(r.dir, name)
	crowd := chaintest.NewCrowd(r.accounts)
	settlements := (r.accounts + chaintest.PerBlock - 1) / chaintest.PerBlock
	err = Fill(r.ctx, dir, crowd.Rules, crowd.Settle(), func(done int) { r.progress("settling accounts", done, settlements) })
	for i := range count {
		r.progress("making full blocks", i, count)
		blocks = append(blocks, crowd.Next())
	}
	return dir, crowd.Rules, blocks, err
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

// writeBlockFile writes blocks as a block file.
func writeBlockFile(name string, rules *consensus.Rules, encodings [][]byte) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	w, err := archive.NewWriter(f, rules)
	for _, e := range encodings {
		if err == nil {
			err = w.Write(e)
		}
	}
	if err == nil {
		err = w.Flush()
	}
	return errors.Join(err, f.Close())
}

// importFile adds the blocks of a file to a new chain and returns how long that
// took.
func (r *run) importFile(file string) (elapsed time.Duration, err error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	blocks, err := archive.NewReader(f)
	if err != nil {
		return 0, err
	}
	dir := filepath.Join(r.dir, "imported")
	defer os.RemoveAll(dir)
	err = withChain(dir, blocks.Rules(), func(_ *store.Store, m *chain.Manager) error {
		start := time.Now()
		_, err := archive.Import(r.ctx, m, blocks, nil)
		elapsed = time.Since(start)
		return err
	})
	return elapsed, err
}
