// Sorting, searching and filtering of tables. Without it all rows are there, as they were written.
'use strict';

const content = (row, column) => row.cells[column].firstElementChild.textContent;

// A cell with an exact amount has it in its title.
const number = (row, column) => {
  const text = row.cells[column].title || content(row, column).replace(/,/g, '');
  const value = Number.parseFloat(text);
  return Number.isNaN(value) ? -Infinity : value;
};

const element = (name, properties) => Object.assign(document.createElement(name), properties);

const makeSortable = (table) => {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const isNumber = head.classList.contains('number');
    const button = element('button', { type: 'button', textContent: head.textContent });
    head.replaceChildren(button);
    button.addEventListener('click', () => {
      // The largest numbers first, but texts from A to Z.
      const first = isNumber ? 'descending' : 'ascending';
      const other = isNumber ? 'ascending' : 'descending';
      const order = head.getAttribute('aria-sort') === first ? other : first;
      heads.forEach((each) => each.removeAttribute('aria-sort'));
      head.setAttribute('aria-sort', order);
      const compare = isNumber
        ? (a, b) => Math.sign(number(a, column) - number(b, column)) || 0
        : (a, b) => content(a, column).localeCompare(content(b, column));
      const sign = order === 'ascending' ? 1 : -1;
      const rows = [...table.tBodies[0].rows].sort((a, b) => sign * compare(a, b));
      table.tBodies[0].append(...rows);
    });
  });
};

const makeSearchable = (table) => {
  const rows = [...table.tBodies[0].rows];
  const heads = [...table.tHead.rows[0].cells];
  const tools = element('div', { className: 'tools' });
  const search = element('input', { type: 'search', placeholder: 'Search', ariaLabel: 'Search' });
  const choices = heads.flatMap((head, column) => {
    const values = [...new Set(rows.map((row) => content(row, column)))].sort();
    if (!('choice' in head.dataset) || values.length < 2) return [];
    const select = element('select', { ariaLabel: head.textContent });
    select.append(new Option(`${head.textContent}: all`, ''));
    values.forEach((value) => select.append(new Option(value, `=${value}`)));
    return [{ column, select }];
  });
  const shown = element('output', {});
  const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  const apply = () => {
    const words = search.value.toLowerCase().split(/\s+/);
    const isShown = (row) =>
      words.every((word) => texts.get(row).includes(word)) &&
      choices.every(({ column, select }) =>
        select.value === '' || select.value === `=${content(row, column)}`);
    rows.forEach((row) => { row.hidden = !isShown(row); });
    const count = rows.filter((row) => !row.hidden).length;
    shown.textContent = `${count.toLocaleString('en')} of ${rows.length.toLocaleString('en')}`;
  };
  tools.append(search, ...choices.map(({ select }) => select), shown);
  tools.addEventListener('input', apply);
  table.parentElement.before(tools);
  apply();
};

for (const table of document.querySelectorAll('table')) {
  // Before the heads become buttons: their text names the filters.
  if (table.querySelector('th[data-choice]')) makeSearchable(table);
  makeSortable(table);
}
