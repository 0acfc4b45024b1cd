// Where the cells of a grid lie that is drawn only where it is seen: all rows of one kind are of one height.

/** Pixels between cells. */
const GAP = 10;
/** Pixels of a heading above the images of a group. */
const HEAD = 44;
/** More groups have no headings: nearly every image would have its own. */
const MOST_GROUPS = 5000;

/**
 * Lay cells out.
 * @param total how many there are
 * @param groups {start, count} of those that have a heading, in order; empty where there is none
 * @param width of the grid, in pixels
 * @param least width of a cell
 * @param caption height below the picture of each cell
 */
export class Layout {
  constructor({ total, groups = [], width, least, caption }) {
    // Two beside each other on the narrowest telephone.
    this.columns = Math.max(2, Math.floor((width + GAP) / (least + GAP)));
    this.side = (width - GAP * (this.columns - 1)) / this.columns;
    this.row = this.side + caption + GAP;
    const headed = groups.length > 0 && groups.length <= MOST_GROUPS;
    let top = 0;
    let row = 0;
    this.sections = (headed ? groups : [{ start: 0, count: total }]).map((group) => {
      const rows = Math.ceil(group.count / this.columns);
      const section = { group: headed ? group : null, start: group.start, count: group.count, top, row, rows };
      section.first = top + (headed ? HEAD : 0);
      top = section.first + rows * this.row;
      row += rows + (headed ? 1 : 0);
      return section;
    });
    this.height = Math.max(0, top - GAP);
    this.rows = row;
    this.total = total;
  }

  /** Return the place among the sections of the last for which something is not beyond a value. */
  #last(value, of) {
    let [low, high] = [0, this.sections.length - 1];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (of(this.sections[middle]) <= value) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** Return the rows between two heights: {top, row, group} of a heading, {top, row, from, to} of cells. */
  between(above, below) {
    const found = [];
    for (let at = this.#last(above, (each) => each.top); at < this.sections.length; at += 1) {
      const { group, start, count, top, first, row, rows } = this.sections[at];
      if (top > below) break;
      if (group && first > above) found.push({ top, row, group });
      const begin = Math.max(0, Math.floor((above - first) / this.row));
      const end = Math.min(rows, Math.ceil((below - first) / this.row));
      for (let n = begin; n < end; n += 1) {
        const from = start + n * this.columns;
        const to = Math.min(from + this.columns, start + count);
        found.push({ top: first + n * this.row, row: row + n + (group ? 1 : 0), from, to });
      }
    }
    return found;
  }

  /** Return the row that a cell is in. */
  rowOf(index) {
    const { group, start, count, first, row } = this.sections[this.#last(index, (each) => each.start)];
    const n = Math.floor((index - start) / this.columns);
    const from = start + n * this.columns;
    const to = Math.min(from + this.columns, start + count);
    return { top: first + n * this.row, row: row + n + (group ? 1 : 0), from, to };
  }

  /** Return the cell above (-1) or below (1) one, in the same column if there is one. */
  vertical(index, step) {
    const here = this.rowOf(index);
    const beside = step < 0 ? here.from - 1 : here.to;
    if (beside < 0 || beside >= this.total) return index;
    const there = this.rowOf(beside);
    return Math.min(there.from + (index - here.from), there.to - 1);
  }

  /** Return the cells that a rectangle touches, {left, top, right, bottom} in pixels of the grid. */
  touched({ left, top, right, bottom }) {
    const pitch = this.side + GAP;
    const first = Math.max(0, Math.floor((left + GAP) / pitch));
    const last = Math.min(this.columns - 1, Math.floor(right / pitch));
    return this.between(top, bottom)
      .filter((row) => !row.group && row.top + this.row - GAP > top)
      .flatMap(({ from, to }) =>
        Array.from({ length: Math.max(0, last - first + 1) }, (_, n) => from + first + n).filter(
          (index) => index < to,
        ),
      );
  }
}
