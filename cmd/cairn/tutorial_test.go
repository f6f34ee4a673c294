package main

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cairn/api/client"
	"cairn/internal/testutil"
)

// TestTutorial is the program of the tutorial: it makes all five calls on two
// nodes, through the Go client.
func TestTutorial(t *testing.T) {
	ctx := context.Background()
	first, second := testutil.Start(t, binary), testutil.Start(t, binary)

	registered, err := first.Client(t).RegisterNode(ctx, second.URL+"/")
	want := client.Registered{Message: "New node has been added", NodeCount: 1, Nodes: []string{second.URL}}
	if diff := cmp.Diff(want, registered); err != nil || diff != "" {
		t.Fatalf("register-node: %v\n%s", err, diff)
	}
	submitted, err := second.Client(t).CreateTransaction(ctx, client.NewTransaction{Sender: "addr1", Recipient: "addr2", Amount: "3"})
	if err != nil || submitted != (client.Submitted{Message: "Transaction has been submitted successfully", BlockIndex: 1}) {
		t.Fatalf("create-transaction: %+v, %v", submitted, err)
	}
	mined, err := second.Client(t).Mine(ctx)
	if err != nil || mined.Message != "Successfully Mined the new Block" || mined.BlockData.Index != submitted.BlockIndex {
		t.Fatalf("mine: %+v, %v", mined, err)
	}
	status, err := second.Client(t).Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	transactions := []client.Transaction{
		{Amount: "3", Recipient: "addr2", Sender: "addr1"},
		{Amount: "1", Recipient: status.NodeAddress, Sender: "0"},
	}
	if diff := cmp.Diff(transactions, mined.BlockData.Transactions); diff != "" {
		t.Errorf("the block's transactions:\n%s", diff)
	}

	for _, message := range []string{"Chain was replaced", "Chain is already up to date"} {
		var synced []client.Block
		answer, err := first.Client(t).SyncChain(ctx, func(b client.Block) error {
			synced = append(synced, b)
			return nil
		})
		if err != nil || answer.Message != message || len(answer.Neighbours) != 1 {
			t.Fatalf("sync-chain: %+v, %v", answer, err)
		}
		if diff := cmp.Diff(chainOf(t, second), synced); diff != "" {
			t.Errorf("%s, but it is another one:\n%s", message, diff)
		}
		if diff := cmp.Diff(chainOf(t, first), synced); diff != "" {
			t.Errorf("%s, but chain says otherwise:\n%s", message, diff)
		}
	}
	if blocks := chainOf(t, first); len(blocks) != 2 || !cmp.Equal(blocks[1], mined.BlockData) {
		t.Errorf("the chain of the first node: %+v", blocks)
	}
}

// chainOf is what GET /chain answers.
func chainOf(t *testing.T, node *testutil.Process) []client.Block {
	t.Helper()
	var blocks []client.Block
	for b, err := range node.Client(t).Chain(context.Background(), 0, -1) {
		if err != nil {
			t.Fatal(err)
		}
		blocks = append(blocks, b)
	}
	return blocks
}
