package markup

// table makes a table of rows of cells. One whose cells hold more than a line of
// text each, or that is so wide and ragged that most of it would be empty, falls
// apart into what it holds.
func table(rows [][][]Block) []Block {
	columns, cells, simple := 0, 0, true
	for _, row := range rows {
		columns = max(columns, len(row))
		cells += len(row)
		for _, cell := range row {
			simple = simple && flat(cell)
		}
	}
	if cells == 0 {
		return nil
	}
	if !simple || columns > MaxColumns || columns*len(rows) > 4*cells+64 {
		return apart(rows)
	}
	all := make([][]Line, len(rows))
	for i, row := range rows {
		for _, cell := range row {
			all[i] = append(all[i], cellLine(cell))
		}
	}
	return []Block{{Kind: Table, Rows: all}}
}

// flat reports whether a cell is a paragraph or nothing.
func flat(cell []Block) bool {
	return len(cell) == 0 || len(cell) == 1 && cell[0].Kind == Paragraph
}

func cellLine(cell []Block) Line {
	if len(cell) == 0 {
		return nil
	}
	return oneLine(cell[0].Lines)
}

// apart is what the cells hold, a line for a row as far as it fits on one.
func apart(rows [][][]Block) []Block {
	var all []Block
	for _, row := range rows {
		simple := true
		var line Line
		for i, cell := range row {
			if simple = simple && flat(cell); !simple {
				break
			}
			if i > 0 {
				line = append(line, Span{Text: " | "})
			}
			line = append(line, cellLine(cell)...)
		}
		if simple {
			all = append(all, Block{Kind: Paragraph, Lines: []Line{line}})
			continue
		}
		for _, cell := range row {
			all = append(all, cell...)
		}
	}
	return all
}
