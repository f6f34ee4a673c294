package node

import (
	"fmt"
	"os"

	"cairn/api"
	"cairn/wallet"
)

// openWallet unlocks the wallet that the node signs from; nil when there is none.
func (n *Node) openWallet() (api.Signer, error) {
	if n.cfg.Wallet == "" {
		return nil, nil
	}
	w, err := wallet.Open(n.cfg.Wallet)
	if err != nil {
		return nil, err
	}
	if ours, rules := w.Rules(), n.store.Rules(); ours.ChainID() != rules.ChainID() {
		return nil, fmt.Errorf("%w: the wallet is for %s (genesis block %s), the node's network is %s (%s)",
			wallet.ErrNetwork, ours.Name, ours.ChainID(), rules.Name, rules.ChainID())
	}
	f, err := os.Open(n.cfg.PassphraseFile)
	if err != nil {
		return nil, fmt.Errorf("--signing-passphrase-file: %w", err)
	}
	defer f.Close()
	passphrase, err := wallet.ReadPassphrase(f)
	if err != nil {
		return nil, fmt.Errorf("--signing-passphrase-file %s: %w", n.cfg.PassphraseFile, err)
	}
	return w.Unlock(passphrase)
}
