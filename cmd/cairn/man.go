//go:build man

// The command man is in builds with the tag man alone: what it needs of others
// would take a tenth of every node's start.

package main

import (
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func init() { tagged = append(tagged, (*app).manCommand) }

func (a *app) manCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "man DIR",
		Short:  "Write the manual pages into a directory",
		Args:   cobra.ExactArgs(1),
		Hidden: true, // so that there is no page about it
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			root.DisableAutoGenTag = true
			return doc.GenManTree(root, &doc.GenManHeader{Title: "CAIRN", Section: "1", Source: "Cairn " + version()}, args[0])
		},
	}
}
