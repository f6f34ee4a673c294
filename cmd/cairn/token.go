package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"cairn/api/client"
)

func (a *app) tokenCommand() *cobra.Command {
	cmd := group(&cobra.Command{
		Use:     "token",
		Short:   "Make, list and revoke tokens of a running node",
		GroupID: groupNode,
		Long: `A token lets a program use the node from elsewhere than its own machine: to read
without the limit on strangers, to submit transfers as well, or also to operate
the node. On the node's machine none is needed, unless the node listens to others;
then it is --token-file with the file that the node names when it starts.`,
		Example: `  cairn token new shop --scope submit > shop.token
  cairn balance addr1 --node http://192.168.1.7:5000 --token-file shop.token
  cairn token list
  cairn token revoke shop`,
	})
	cmd.AddCommand(a.tokenNewCommand(), a.tokenListCommand(), a.tokenRevokeCommand())
	return cmd
}

func (a *app) tokenNewCommand() *cobra.Command {
	var scope string
	scopes := []string{string(client.ScopeRead), string(client.ScopeSubmit), string(client.ScopeOperate)}
	cmd := &cobra.Command{
		Use:   "new NAME --scope SCOPE",
		Short: "Make a token",
		Long: `Makes a token and prints its secret, once and alone, so that it can go into a
file. The node keeps only a hash of it.

  read     read, without the limit on strangers' requests
  submit   also submit transfers
  operate  also mine, sync, change neighbours, peers and tokens, and spend
           from the node's wallet`,
		Example: `  umask 077; cairn token new shop --scope submit > shop.token`,
		Args:    cobra.ExactArgs(1),
	}
	m := a.useMeans(cmd, meansNode, meansJSON)
	cmd.Flags().StringVar(&scope, "scope", "", "what it allows: read, submit or operate")
	_ = cmd.MarkFlagRequired("scope") // both fail for flags that are not there
	_ = cmd.RegisterFlagCompletionFunc("scope", cobra.FixedCompletions(scopes, cobra.ShellCompDirectiveNoFileComp))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !slices.Contains(scopes, scope) {
			return usageError("--scope %s: it is read, submit or operate%s", scope, didYouMean(scope, scopes, ""))
		}
		c, err := m.client()
		if err != nil {
			return err
		}
		token, err := c.CreateToken(cmd.Context(), client.NewToken{Name: args[0], Scope: client.Scope(scope)})
		if err != nil {
			return m.asked(err)
		}
		if m.json {
			return a.printJSON(token)
		}
		fmt.Fprintf(a.stderr, "The token %s, to %s. It is shown only now:\n", token.Name, token.Scope)
		m.say("%s", token.Token)
		return nil
	}
	return cmd
}

func (a *app) tokenListCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List the tokens, without their secrets", Args: cobra.NoArgs}
	m := a.useMeans(cmd, meansNode, meansJSON)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := m.client()
		if err != nil {
			return err
		}
		tokens, err := c.Tokens(cmd.Context())
		if err != nil {
			return m.asked(err)
		}
		if m.json {
			return a.printJSON(tokens)
		}
		if len(tokens) == 0 {
			m.say("There are none but the node's own. To make one: cairn token new NAME --scope SCOPE")
			return nil
		}
		rows := []string{"NAME\tSCOPE\tMADE"}
		for _, t := range tokens {
			rows = append(rows, fmt.Sprintf("%s\t%s\t%s", printable(t.Name), t.Scope, moment(t.Created)))
		}
		return table(a.stdout, rows...)
	}
	return cmd
}

func (a *app) tokenRevokeCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "revoke NAME", Short: "Make a token worthless, at once", Args: cobra.ExactArgs(1)}
	m := a.useMeans(cmd, meansNode)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := m.client()
		if err != nil {
			return err
		}
		if err := c.RevokeToken(cmd.Context(), args[0]); err != nil {
			return m.asked(err)
		}
		m.say("The token %s is worth nothing any more.", args[0])
		return nil
	}
	return cmd
}
