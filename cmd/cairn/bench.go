package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"cairn/bench"
)

func (a *app) benchCommand() *cobra.Command {
	var cfg bench.Config
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "bench [ROW...]",
		Short:   "Measure what this machine and this program can do",
		GroupID: groupNode,
		Long: `Starts nodes on a directory of its own, which is removed at the end, and
measures them: what they do in a second, what bounds that on this machine, and
how much of it they reach. It takes about a minute and wants the machine for
itself; a node that runs is left alone.

ROW is one of ` + strings.Join(bench.Names(), ", ") + `;
without it, all of them.`,
		Example: `  cairn bench
  cairn bench import sync
  cairn bench disk --dir /var/lib
  cairn bench --json > figures.json`,
		ValidArgs: bench.Names(),
		Args:      cobra.OnlyValidArgs,
	}
	f := cmd.Flags()
	f.StringVar(&cfg.Dir, "dir", "", "`directory` on the disk to measure (default: the one for temporary files)")
	f.IntVar(&cfg.Accounts, "accounts", 0, "`number` of accounts of the imported chain (default 100000)")
	f.BoolVar(&cfg.Quick, "quick", false, "only a first look, on small chains: a few seconds")
	f.BoolVar(&asJSON, "json", false, "print JSON, for programs")
	_ = cmd.RegisterFlagCompletionFunc("dir", directories)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if cfg.Accounts < 0 {
			return usageError("accounts is %d: it is a number above 0", cfg.Accounts)
		}
		program, err := os.Executable()
		if err != nil {
			return err
		}
		report := benchReport{Version: version(), Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH, Cores: runtime.GOMAXPROCS(0)}
		p := a.progress()
		defer p.end()
		cfg.Rows, cfg.Node = args, program
		cfg.Progress = func(step string, done, total uint64) { p.show(step, done, total, false) }
		cfg.Row = func(r bench.Row) {
			p.end()
			report.Rows = append(report.Rows, r)
			if !asJSON {
				printRow(a.stdout, r)
			}
		}
		if err := bench.Run(cmd.Context(), cfg); err != nil {
			return err
		}
		if asJSON {
			return a.printJSON(report)
		}
		return nil
	}
	return cmd
}

// benchReport is what `cairn bench --json` prints.
type benchReport struct {
	Version string      `json:"version"`
	Go      string      `json:"go"`
	System  string      `json:"system"`
	Cores   int         `json:"cores"`
	Rows    []bench.Row `json:"rows"`
}

// printRow writes a line as soon as its figure is there.
func printRow(w io.Writer, r bench.Row) {
	line := fmt.Sprintf("%-10s  %-46s  %9s %-4s", r.Name, r.What, figure(r.Value), r.Unit)
	if r.Bound != "" {
		line += fmt.Sprintf("  %4.0f %% of %s %s: %s", 100*r.Ratio, figure(r.BoundValue), r.Unit, r.Bound)
	}
	fmt.Fprintln(w, strings.TrimRight(line, " "))
}

// figure writes a number with three digits that count, or all before the point.
func figure(v float64) string {
	if v >= 100 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return fmt.Sprintf("%.3g", v)
}
