package opencti

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/matrix-connector/matrix-connector/internal/stix"
)

// Detach removes a file from an object, by the name under which it was attached. A file
// or an object that is not there is no error (needs KNOWLEDGE_KNASKIMPORT).
func (p *Platform) Detach(ctx context.Context, from stix.ID, name string) error {
	files, err := p.readFiles(ctx, []stix.ID{from})
	if err != nil {
		return fmt.Errorf("read the files of %s: %w", from, err)
	}
	for _, list := range files {
		for _, f := range list {
			if !strings.EqualFold(f.Name, name) {
				continue
			}
			if err := p.dropFile(ctx, f); err != nil {
				return fmt.Errorf("detach from %s: %w", from, err)
			}
		}
	}
	return nil
}

func (p *Platform) dropFile(ctx context.Context, f storedFile) error {
	err := p.client.do(ctx, opDeleteImport, map[string]any{"name": f.ID}, nil)
	if ClassOf(err) == Gone {
		return nil
	}
	return err
}

// Delete removes an object with its relations and its files: first the files, which a
// deletion leaves in storage, then the object, which goes to the trash, and then its
// entry there. Where the trash may not be emptied the entry stays until the platform
// does so itself. An object that is not there is no error (needs
// KNOWLEDGE_KNUPDATE_KNDELETE; opencti.md §12.2). What the platform's history keeps is
// out of reach.
func (p *Platform) Delete(ctx context.Context, id stix.ID) error {
	files, err := p.readFiles(ctx, []stix.ID{id})
	if err != nil {
		return fmt.Errorf("read the files of %s: %w", id, err)
	}
	for internal, list := range files {
		for _, f := range list {
			if err := p.dropFile(ctx, f); err != nil {
				return fmt.Errorf("delete the files of %s: %w", id, err)
			}
		}
		err := p.client.do(ctx, opDelete, map[string]any{"id": internal}, nil)
		if err != nil && ClassOf(err) != Gone {
			return fmt.Errorf("delete %s: %w", id, err)
		}
		if err := p.purge(ctx, internal); err != nil {
			if ClassOf(err) == Cancelled {
				return err
			}
			p.config.Log.WarnContext(ctx, "a deleted object stays in the platform's trash", slog.String("stix_id", string(id)), slog.Any("err", err))
		}
	}
	return nil
}

// purge empties the trash of an object, by its internal id.
func (p *Platform) purge(ctx context.Context, internal string) error {
	var out struct {
		Trash struct {
			Edges []struct {
				Node struct {
					ID     string `json:"id"`
					Object string `json:"main_entity_id"`
				} `json:"node"`
			} `json:"edges"`
		} `json:"deleteOperations"`
	}
	if err := p.client.do(ctx, opTrash, map[string]any{"ids": []string{internal}}, &out); err != nil {
		return err
	}
	for _, e := range out.Trash.Edges {
		if e.Node.Object != internal {
			continue // never what somebody else has deleted
		}
		err := p.client.do(ctx, opPurge, map[string]any{"id": e.Node.ID}, nil)
		if err != nil && ClassOf(err) != Gone {
			return err
		}
	}
	return nil
}
