"""A report opened from disk in a real browser, and what a test asks of it."""

from pathlib import Path

from relume.report.html import write_page

CHROMIUM = Path("/usr/bin/chromium")

CONTRASTS = """() => {
  const rgb = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = rgb(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim()) continue;
    if (["SCRIPT", "NOSCRIPT"].includes(element.tagName)) continue;
    const [a, b] = [rgb(getComputedStyle(element).color), ground(element)].map(light);
    found.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), walker.currentNode.data.trim()]);
  }
  return found;
}"""


class Visit:
    """A page opened from disk; what it asked for and what went wrong is kept."""

    def __init__(self, browser, document, folder, **context):
        self.path = folder / "report.html"
        write_page(document, self.path)
        self.context = browser.new_context(**context)
        self.page = self.context.new_page()
        self.requests, self.faults = [], []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.faults.append(message.text))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("dialog", lambda dialog: self.faults.append(dialog.message))
        self.page.goto(self.path.as_uri())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.context.close()

    def hover_cell(self, layer, row, column, rows, columns):
        frame = self.page.locator(".heat img").nth(layer)
        frame.scroll_into_view_if_needed()
        box = frame.bounding_box()
        frame.hover(
            position={
                "x": box["width"] * (column + 0.5) / columns,
                "y": box["height"] * (row + 0.5) / rows,
            }
        )
        readout = self.page.locator(".heat .readout").nth(layer)
        readout.filter(has_text="unit").wait_for()
        return readout.inner_text()
