package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"cairn/archive"
	"cairn/node"
)

func (a *app) verifyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "verify",
		Short:   "Check everything that a node has stored",
		GroupID: groupData,
		Long: `Reads everything in a node's directory and computes it again: every hash, link,
proof of work, signature, balance and commitment, every file's checksums, and
whether the indexes agree with the blocks. It changes nothing.

Exit codes: 0 all is sound; 1 it is not, and what is wrong is listed;
2 it could not be checked.`,
		Example: `  cairn verify
  cairn verify --data /var/lib/cairn`,
		Args: cobra.NoArgs,
	}
	s := a.useSettings(cmd, "data", "network", "port")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		dir, err := node.DataDir(&s.Config)
		if err != nil {
			return &codeError{exitUsage, err}
		}
		p := a.progress()
		report, err := archive.Verify(cmd.Context(), dir, func(stage string, done, total uint64) {
			p.show(stage, done, total, stage == "files")
		})
		p.end()
		if err != nil {
			return &codeError{exitUsage, fmt.Errorf("could not verify: %w", whichNode(err))}
		}
		return printReport(a.stdout, dir, report)
	}
	return cmd
}

func printReport(w io.Writer, dir string, r *archive.Report) error {
	for _, f := range r.Faults {
		if _, err := fmt.Fprintln(w, f); err != nil {
			return err
		}
	}
	if more := r.Count - uint64(len(r.Faults)); more > 0 {
		if _, err := fmt.Fprintf(w, "and %d more\n", more); err != nil {
			return err
		}
	}
	if !r.Sound() {
		return errors.New(dir + " is not sound: keep a copy of it as it is; then import what `cairn export` can still read into a new directory, or sync a new node from a neighbour")
	}
	_, err := fmt.Fprintf(w, "%s is sound: network %s, height %d, tip %s\nchecked %d blocks with %d transfers, %d blocks beside them, %d accounts, %d waiting transfers\n",
		dir, r.Network, r.Height, r.Tip, r.Blocks, r.Transfers, r.Side, r.Accounts, r.Pending)
	return err
}
