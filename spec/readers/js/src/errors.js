// The one error of this reader: a reason of spec/reason-codes.md, a text, and where in the document.

export class ViewError extends Error {
  /**
   * @param {string} reason a code of spec/reason-codes.md
   * @param {string} message for people
   * @param {string | null} [where] JSON path of the problem
   */
  constructor(reason, message, where = null) {
    super(where === null ? message : `${message} (at ${where})`);
    this.name = "ViewError";
    this.reason = reason;
    this.where = where;
  }
}

/** How a JSON path goes on to a member (G-027). @param {string} name */
export const member = (name) => (/^[A-Za-z_][A-Za-z0-9_]*$/.test(name) ? `.${name}` : `[${JSON.stringify(name)}]`);

/**
 * Refuse, with a reason.
 * @param {string} reason
 * @param {string} message
 * @param {string | null} [where]
 * @returns {never}
 */
export function refuse(reason, message, where = null) {
  throw new ViewError(reason, message, where);
}
