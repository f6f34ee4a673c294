// Command cairn runs a node, and works with its data and with networks. This
// package is the command tree: flags, variables and files become a node.Config,
// and the other commands are clients of a node's HTTP API or of its files.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"
)

// Exit codes. A command that answers a question (verify) says "no" with
// exitFailed; then exitUsage also means that the question could not be asked.
const (
	exitOK     = 0
	exitFailed = 1 // what was asked for did not succeed
	exitUsage  = 2 // wrong flags, arguments or settings: nothing was done
)

// codeError is an error with the exit code that it stands for; others exit with
// exitFailed.
type codeError struct {
	code int
	err  error
}

func (e *codeError) Error() string { return e.err.Error() }
func (e *codeError) Unwrap() error { return e.err }

func usageError(format string, args ...any) error {
	return &codeError{exitUsage, fmt.Errorf(format, args...)}
}

// app is what commands share: the outside world, so that tests can give them
// another one.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	env            func(string) (string, bool)

	// settings and flags are newSettings' once a command has asked for them.
	settings *settings
	flags    *pflag.FlagSet

	// parsed is set once flags and arguments were found to be in order.
	parsed bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	a := &app{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, env: os.LookupEnv}
	os.Exit(a.run(ctx, os.Args[1:]))
}

// run executes one command line and returns the exit code.
func (a *app) run(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	code := exitFailed
	if !a.parsed {
		code = exitUsage
	}
	if coded := (*codeError)(nil); errors.As(err, &coded) {
		code = coded.code
	}
	fmt.Fprintf(a.stderr, "cairn: %s\n", strings.TrimRight(err.Error(), "\n"))
	if code == exitUsage && !a.parsed {
		fmt.Fprintf(a.stderr, "Run '%s --help' for what there is.\n", cmd.CommandPath())
	}
	return code
}

// tagged makes the commands that only builds with a tag have.
var tagged []func(*app) *cobra.Command

// root builds the command tree. `cairn` itself runs a node.
func (a *app) root() *cobra.Command {
	root := a.nodeCommand()
	root.Version = version()
	root.SetVersionTemplate("cairn {{.Version}}\n")
	root.SilenceErrors = true
	root.SilenceUsage = true
	root.PersistentPreRun = func(*cobra.Command, []string) { a.parsed = true }
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if unknown := (*pflag.NotExistError)(nil); errors.As(err, &unknown) {
			return fmt.Errorf("%w%s", err, didYouMean(unknown.GetSpecifiedName(), flagNames(cmd.Flags()), "--"))
		}
		return err
	})
	root.AddGroup(&cobra.Group{ID: groupNode, Title: "A running node:"},
		&cobra.Group{ID: groupMoney, Title: "Money:"},
		&cobra.Group{ID: groupData, Title: "A node's data (stop the node first):"},
		&cobra.Group{ID: groupNetwork, Title: "Networks:"})
	root.AddCommand(a.walletCommand(), a.balanceCommand(), a.historyCommand(), a.receiveCommand(),
		a.sendCommand(), a.resendCommand(), a.outboxCommand(), a.signCommand(), a.submitCommand(), a.proofCommand(), a.tokenCommand(), a.peersCommand(), a.inviteCommand())
	root.AddCommand(a.statusCommand(), a.verifyCommand(), a.exportCommand(), a.importCommand(), a.benchCommand(),
		a.verifyProofCommand(), a.genesisCommand(), a.joinCommand(), a.peerKeyCommand(), a.versionCommand())
	for _, command := range tagged {
		root.AddCommand(command(a))
	}
	return root
}

const (
	groupNode    = "node"
	groupMoney   = "money"
	groupData    = "data"
	groupNetwork = "network"
)

// group makes cmd one that only holds others: alone it prints its help, and a
// word that is none of them is an error.
func group(cmd *cobra.Command) *cobra.Command {
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		var names []string
		for _, sub := range cmd.Commands() {
			names = append(names, sub.Name())
		}
		return usageError("unknown command %q for %q%s", args[0], cmd.CommandPath(), didYouMean(args[0], names, ""))
	}
	return cmd
}

// isTerminal says whether a person reads what is written to w.
func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
