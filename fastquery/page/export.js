// NAME and SAVE are written before this; `drawn`, a figure or a table, is an argument.
if (cb_obj.value == SAVE) return
const KIND = cb_obj.value.toLowerCase()
cb_obj.value = SAVE
const save = (blob) => {
  const link = document.createElement("a")
  link.href = URL.createObjectURL(blob)
  link.download = `${NAME}.${KIND}`
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 1000)
}
const cell = (value) => {
  const text = String(value ?? "")
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
if (KIND == "csv") {
  const named = new Map(drawn.renderers == null ? [[drawn.source, NAME]] : [])
  for (const one of drawn.renderers ?? []) {
    if (!one.visible || one.name == null) continue
    const source = one.data_source
    named.set(source, named.has(source) && named.get(source) != one.name ? NAME : one.name)
  }
  const lines = []
  for (const [source, name] of named) {
    const columns = Object.keys(source.data)
    const length = source.data[columns[0]]?.length ?? 0
    if (length == 0) continue
    lines.push(["series", ...columns].map(cell).join(","))
    for (let k = 0; k < length; k++)
      lines.push([name, ...columns.map((column) => source.data[column][k])].map(cell).join(","))
  }
  save(new Blob([lines.join("\n") + "\n"], {type: "text/csv"}))
} else {
  Bokeh.index.find_one(drawn).export(KIND).to_blob().then(save)
}
