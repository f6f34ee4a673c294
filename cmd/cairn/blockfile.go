package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"cairn/archive"
	"cairn/chain"
	"cairn/node"
	"cairn/store"
)

func (a *app) exportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "export [FILE|-]",
		Short:   "Write the best chain to a block file",
		GroupID: groupData,
		Long: `Writes the network and the blocks of the best chain to FILE, or to standard
output. "cairn import" makes a node of it, on any machine. A file that exists is
never overwritten.`,
		Example: `  cairn export chain.cairn
  cairn export - --data A | cairn import - --data B`,
		Args: cobra.MaximumNArgs(1),
	}
	s := a.useSettings(cmd, "data", "network", "port")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name := argument(args)
		if name == "-" && isTerminal(a.stdout) {
			return usageError("a block file is nothing to read on a terminal: name a file, cairn export FILE")
		}
		dir, err := node.DataDir(&s.Config)
		if err != nil {
			return &codeError{exitUsage, err}
		}
		st, err := store.Open(dir, store.Options{})
		if err != nil {
			return whichNode(err)
		}
		return errors.Join(a.export(cmd.Context(), st, name), st.Close())
	}
	return cmd
}

// whichNode adds to the error that there is no data how to say where some is.
func whichNode(err error) error {
	if errors.Is(err, store.ErrNoData) {
		return fmt.Errorf("%w; say which node is meant with --data DIR, or with --network and -p as it is started", err)
	}
	return err
}

// argument is the file that a command names, - when it names none.
func argument(args []string) string {
	if len(args) == 0 {
		return "-"
	}
	return args[0]
}

func (a *app) export(ctx context.Context, st *store.Store, name string) error {
	p := a.progress()
	defer p.end()
	write := func(w io.Writer) error {
		return archive.Export(ctx, st, w, func(done, total uint64) { p.show("blocks", done, total, false) })
	}
	if name == "-" {
		return write(a.stdout)
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists and is not overwritten: name another file, or delete it", name)
	}
	if err != nil {
		return err
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(name))
	}
	p.end()
	_, err = fmt.Fprintf(a.stderr, "Wrote %s\n", name)
	return err
}

func (a *app) importCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "import [FILE|-]",
		Short:   "Add the blocks of a block file to a node's chain",
		GroupID: groupData,
		Long: `Reads FILE, or standard input, and adds its blocks to the chain in the node's
directory, checking each as if it came from a neighbour. A directory that does
not exist is made, for the network that the file names. Blocks that are there
already are passed over, so an import that was interrupted can be repeated.`,
		Example: `  cairn import chain.cairn
  cairn import chain.cairn --data /var/lib/cairn`,
		Args: cobra.MaximumNArgs(1),
	}
	s := a.useSettings(cmd, "data", "port", "cache-size")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		in, size, err := a.open(argument(args))
		if err != nil {
			return err
		}
		defer in.Close()
		blocks, err := archive.NewReader(in)
		if err != nil {
			return err
		}
		dir := s.Data
		if dir == "" {
			if dir, err = node.DefaultData(blocks.Rules().Name, s.Port); err != nil {
				return &codeError{exitUsage, err}
			}
		}
		name, held, err := store.Network(dir, store.Options{})
		if err == nil && held != blocks.Rules().ChainID() {
			return fmt.Errorf("the block file is of the network %s (genesis block %s), and %s holds %s (genesis block %s): nothing was imported; name another directory with --data",
				blocks.Rules().Name, blocks.Rules().ChainID(), dir, name, held)
		}
		s.LimitMemory()
		st, err := store.Open(dir, s.StoreOptions())
		if errors.Is(err, store.ErrNoData) {
			st, err = store.Create(dir, blocks.Rules(), s.StoreOptions())
		}
		if err != nil {
			return err
		}
		return errors.Join(a.importInto(cmd.Context(), s, st, blocks, size), st.Close())
	}
	return cmd
}

// open opens a block file and returns its size, 0 where that is not known.
func (a *app) open(name string) (io.ReadCloser, uint64, error) {
	if name == "-" {
		if isTerminal(a.stdin) {
			return nil, 0, usageError("a block file is nothing to type: name a file, cairn import FILE")
		}
		return io.NopCloser(a.stdin), 0, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return f, 0, err
	}
	return f, uint64(info.Size()), nil
}

func (a *app) importInto(ctx context.Context, s *settings, st *store.Store, blocks *archive.Reader, size uint64) error {
	m, err := chain.New(chain.Config{Store: st, TreeLeaves: s.TreeLeaves()})
	if err != nil {
		return err
	}
	defer m.Close()
	p := a.progress()
	defer p.end()
	height, err := archive.Import(ctx, m, blocks, func(_ uint32, bytes int64) { p.show("import", uint64(bytes), size, true) })
	if err != nil {
		return fmt.Errorf("the blocks up to height %d are imported; then: %w", height, err)
	}
	p.end()
	_, err = fmt.Fprintf(a.stderr, "Imported the blocks up to height %d; the chain in %s has height %d\n", height, st.Dir(), m.Tip().Height)
	return err
}
