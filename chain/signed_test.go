package chain_test

import (
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"

	"cairn/chain/chaintest"
	"cairn/consensus"
	"cairn/types"
)

// On a network with signatures one bad signature among many, checked in several
// batches, is found and named.
func TestBadSignatureIsNamed(t *testing.T) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	owner := accountOf(key)
	f := newFixture(t, func(r *consensus.Rules) {
		r.Signatures, r.CreditLimit, r.MaxBlockSize = true, 0, 1_000_000
		r.Allocations = []consensus.Allocation{{Account: owner, Amount: 1_000_000}}
	})
	const bad = 2500
	spec := chaintest.Spec{Miner: owner}
	for i := range 3000 {
		p := pay(owner, owner, 1, uint64(i))
		f.rules.Sign(&p, key)
		spec.Transfers = append(spec.Transfers, p)
	}
	f.Add("good", chaintest.Genesis, spec)
	spec.Spoil = func(b *types.Block) {
		b.Transfers = append([]types.Transfer(nil), b.Transfers...)
		b.Transfers[bad].Signature[3] ^= 1
	}
	f.Add("bad", chaintest.Genesis, spec)
	err := f.add("bad")
	f.wantError(err, consensus.ErrSignature, "bad")
	if !strings.Contains(err.Error(), "transfer 2500:") {
		t.Errorf("which one it is was to be said: %v", err)
	}
	f.mustAdd("good")
	f.wantTip("good")
}

// A transfer that the pool has verified is not verified again in its block; one
// that only looks like it is.
func TestPooledSignatures(t *testing.T) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	owner := accountOf(key)
	f := newFixture(t, func(r *consensus.Rules) {
		r.Signatures, r.CreditLimit = true, 0
		r.Allocations = []consensus.Allocation{{Account: owner, Amount: 1_000_000}}
	})
	p := pay(owner, owner, 1, 1)
	if _, err := f.AddTransfer(t.Context(), p); !errors.Is(err, consensus.ErrSignature) {
		t.Fatalf("without a signature: %v", err)
	}
	f.rules.Sign(&p, key)
	f.submit(p)
	forged := p
	forged.Signature[40] ^= 1
	f.Add("forged", chaintest.Genesis, chaintest.Spec{Miner: owner, Transfers: []types.Transfer{forged}})
	f.wantError(f.add("forged"), consensus.ErrSignature, "forged")
	f.Add("good", chaintest.Genesis, chaintest.Spec{Miner: owner, Transfers: []types.Transfer{p}})
	f.mustAdd("good")
	f.wantPending()
}
