// Where the points of the map lie on the screen. No drawing and no elements here.

/** Times that the map can be magnified. */
const MOST = 60;
const PADDING = 24;

/** What most of the points must gain in size so that the others are left outside at first. */
const ENOUGH = 1.6;
/** That part of the points is passed over at either end to find where most of them are. */
const FEW = 0.01;

function bulkOf(values) {
  const sorted = Float64Array.from(values).sort();
  const place = (part) => sorted[Math.round(part * (sorted.length - 1))];
  return [place(FEW), place(1 - FEW)];
}

/** A window onto the points, which it can move over and magnify. */
export class MapView {
  /**
   * @param x places from left to right
   * @param y places from bottom to top, of the same scale
   */
  constructor(x, y) {
    this.x = x;
    this.y = y;
    const ends = (values) =>
      values.reduce(
        ([low, high], each) => [Math.min(low, each), Math.max(high, each)],
        [Infinity, -Infinity],
      );
    const [left, right] = ends(x);
    const [bottom, top] = ends(y);
    this.middle = [(left + right) / 2, (bottom + top) / 2];
    this.span = [Math.max(right - left, 1e-9), Math.max(top - bottom, 1e-9)];
    this.zoom = 1;
    this.shift = [0, 0];
    this.size = [1, 1];
    this.bulk = [bulkOf(x), bulkOf(y)];
  }

  /** Begin with most of the points where a few strangers would make them too small; return how many are outside. */
  begin() {
    const fits = this.scale;
    const [width, height] = this.size;
    const [across, up] = this.bulk.map(([low, high]) => Math.max(high - low, 1e-9) * 1.15);
    const zoom = Math.min((width - 2 * PADDING) / across, (height - 2 * PADDING) / up) / fits;
    if (zoom < ENOUGH) return 0;
    this.zoom = Math.min(zoom, MOST);
    const [left, bottom] = this.bulk.map(([low, high], axis) => (low + high) / 2 - this.middle[axis]);
    this.shift = [-left * this.scale, bottom * this.scale];
    const inside = (at, size) => at >= 0 && at <= size;
    return this.x.reduce((count, _, n) => {
      const [at, top] = this.place(n);
      return count + (inside(at, width) && inside(top, height) ? 0 : 1);
    }, 0);
  }

  /** Say how large the window is, in CSS pixels. */
  resize(width, height) {
    this.size = [Math.max(width, 1), Math.max(height, 1)];
    this.#hold();
  }

  /** Pixels that one unit of the points takes. */
  get scale() {
    const [width, height] = this.size;
    const fits = Math.min((width - 2 * PADDING) / this.span[0], (height - 2 * PADDING) / this.span[1]);
    return Math.max(fits, 1e-9) * this.zoom;
  }

  /** Return where a point lies: [left, top] in pixels. */
  place(n) {
    const { scale } = this;
    return [
      this.size[0] / 2 + this.shift[0] + (this.x[n] - this.middle[0]) * scale,
      this.size[1] / 2 + this.shift[1] - (this.y[n] - this.middle[1]) * scale,
    ];
  }

  /** Magnify by a factor, and keep what lies at a place where it is; by default the middle. */
  magnify(factor, left = this.size[0] / 2, top = this.size[1] / 2) {
    const zoom = Math.min(Math.max(this.zoom * factor, 1), MOST);
    const by = zoom / this.zoom;
    this.shift = [
      left - this.size[0] / 2 - (left - this.size[0] / 2 - this.shift[0]) * by,
      top - this.size[1] / 2 - (top - this.size[1] / 2 - this.shift[1]) * by,
    ];
    this.zoom = zoom;
    this.#hold();
  }

  /** Move what is seen by so many pixels. */
  move(right, down) {
    this.shift = [this.shift[0] + right, this.shift[1] + down];
    this.#hold();
  }

  /** Show all points again. */
  reset() {
    this.zoom = 1;
    this.shift = [0, 0];
  }

  /** Move so that a point is seen. */
  reveal(n) {
    const [left, top] = this.place(n);
    const back = (at, size) => (at < PADDING ? PADDING - at : at > size - PADDING ? size - PADDING - at : 0);
    this.move(back(left, this.size[0]), back(top, this.size[1]));
  }

  /** Return the point nearest to a place among those that `wanted` lets in, within so many pixels; −1 for none. */
  nearest(left, top, wanted, within = Infinity) {
    let found = -1;
    let best = within * within;
    for (let n = 0; n < this.x.length; n += 1) {
      if (!wanted(n)) continue;
      const [x, y] = this.place(n);
      const distance = (x - left) ** 2 + (y - top) ** 2;
      if (distance < best) {
        best = distance;
        found = n;
      }
    }
    return found;
  }

  /** Return the next point from one in a direction, [1, 0] for the right and [0, 1] for down; itself for none. */
  next(from, [right, down], wanted) {
    const [left, top] = this.place(from);
    let found = from;
    let best = Infinity;
    for (let n = 0; n < this.x.length; n += 1) {
      if (n === from || !wanted(n)) continue;
      const [x, y] = this.place(n);
      const along = (x - left) * right + (y - top) * down;
      const across = Math.abs((x - left) * down) + Math.abs((y - top) * right);
      // What lies more aside than ahead belongs to another key.
      if (along <= 0 || across > along) continue;
      const cost = along + 2 * across;
      if (cost < best) {
        best = cost;
        found = n;
      }
    }
    return found;
  }

  /** Keep the middle of the window over the points. */
  #hold() {
    const { scale } = this;
    this.shift = this.shift.map((each, axis) => {
      const most = (this.span[axis] * scale) / 2;
      return Math.min(Math.max(each, -most), most);
    });
  }
}
