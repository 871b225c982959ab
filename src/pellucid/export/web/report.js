// Displays the prediction: bars of the classes, and the damage.

const $ = (id) => document.getElementById(id);

/** Classes that are shown at once. */
const FEW = 5;

/** The probability below which the strength of a kind of damage is of no interest. */
const UNLIKELY = 0.01;

const words = (name) => name.replaceAll("_", " ");
const percent = (share) => `${(100 * share).toFixed(share > 0.9995 || share < 0.0005 ? 0 : 1)} %`;

/** The class and the bars of the likeliest ones. */
export function showClasses({ label, confidence, probabilities, unfamiliar }) {
  $("classes").hidden = probabilities === null;
  if (probabilities === null) return;
  $("label").textContent = label;
  $("confidence").textContent = percent(confidence) + (unfamiliar ? ", unlike the training pictures" : "");
  const sorted = Object.entries(probabilities).sort(([, one], [, other]) => other - one);
  const bars = sorted.map(([name, share]) => {
    const item = element("li", "", element("span", "", name), element("span", "track", element("i")), element("span", "share", percent(share)));
    item.querySelector("i").style.setProperty("--share", `${100 * share}%`);
    return item;
  });
  bars.slice(FEW).forEach((item) => { item.hidden = true; });
  $("bars").replaceChildren(...bars);
  $("more").hidden = bars.length <= FEW;
  $("more").textContent = `Show all ${bars.length}`;
  $("more").onclick = () => {
    bars.forEach((item) => { item.hidden = false; });
    bars[FEW].tabIndex = -1; // takes the focus of the button
    bars[FEW].focus();
    $("more").hidden = true;
  };
}

/** What the class and the damage were read from; scaled: its height and width, or null for the picture as it is. */
export function showSource(scaled) {
  $("source").hidden = scaled === null;
  if (scaled) $("source").textContent = `Class and kinds of damage were read from the whole picture, scaled to ${scaled[1]} x ${scaled[0]} pixels.`;
}

/** Lost pixels, and the kinds of damage, the likeliest first. */
export function showDamage({ damage, lost, left }) {
  $("damages").hidden = damage === null && lost === null;
  const parts = [];
  if (left) parts.push("No damage was detected; the picture is unchanged.");
  else if (lost !== null) parts.push(lost > 0 ? `${percent(lost)} of the pixels are lost.` : "No pixels are lost.");
  $("damage").textContent = parts.join(" ");
  $("kinds").closest("table").hidden = damage === null;
  const sorted = Object.entries(damage ?? {}).sort(([, one], [, other]) => other.probability - one.probability);
  $("kinds").replaceChildren(
    ...sorted.map(([kind, { probability, strength, unit }]) =>
      element(
        "tr", probability > 0.5 ? "likely" : "unlikely",
        element("th", "", words(kind)), element("td", "", percent(probability)),
        element("td", "", probability < UNLIKELY ? "–" : `${Number(strength.toPrecision(2))} (${unit})`),
      ),
    ),
  );
}

function element(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}
